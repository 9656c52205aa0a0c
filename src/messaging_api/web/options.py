"""Lifetimes and numbers of reads as clients write them."""

import re

from messaging_api.core.message import MAX_READS
from messaging_api.errors import InvalidRequest

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
TTL_PATTERN = (
    "([0-9]{1,9})([smhdw]?)|"
    "P(?:([0-9]{1,9})W)?(?:([0-9]{1,9})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?"
)
_TTL = re.compile(TTL_PATTERN)
TTL_FORMS = "a whole number of seconds, or like 90s, 5m, 1h, 7d, 2w or P1DT12H"


def parse_ttl(text: str) -> int:
    """Parse a lifetime to seconds: seconds, one number with a unit, or an ISO 8601 duration without months and years.

    Raises InvalidRequest.
    """
    found = _TTL.fullmatch(text.strip())
    if found is None or found[0][-1] in "PT":  # a letter without its number
        raise InvalidRequest(f"ttl must be {TTL_FORMS}.")
    number, unit, *parts = found.groups()
    if number is not None:
        return int(number) * _UNITS[unit]
    return sum(int(part or 0) * _UNITS[unit] for part, unit in zip(parts, "wdhms", strict=True))


def parse_reads(text: str) -> int:
    """Parse a number of reads. Raises InvalidRequest."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise InvalidRequest(f"reads must be a whole number from 1 to {MAX_READS}.")
    return int(digits)
