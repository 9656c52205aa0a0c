"""Timestamps in requests (RFC 3339). `observability/timestamps.py` formats those in responses."""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from messaging_api.errors import InvalidRequest

_EPOCH = datetime.fromtimestamp(0, UTC)
_LOST_PLUS = re.compile(r"(:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?) (?=[0-9]{2}:?[0-9]{2}$)")
"""A blank between a time and its offset: in forms and queries + is a blank, and nothing else can stand there."""
TIME_FORM = "an RFC 3339 time, such as 2026-12-31T12:00:00Z or 2026-12-31T12:00:00+01:00"


def parse_time(text: str) -> int:
    """Parse a date and time with its offset from UTC to ms since the epoch. Raises InvalidRequest."""
    try:
        moment = msgspec.convert(_LOST_PLUS.sub(r"\1+", text.strip()), datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(f"expires_at must be {TIME_FORM}.")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
