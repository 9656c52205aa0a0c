"""RFC 3339 in UTC, to and from milliseconds since the epoch."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from messaging_api.errors import Invalid

_DAY = 86_400
_EPOCH = datetime.fromtimestamp(0, UTC)


@lru_cache(64)
def _day(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * _DAY))


def format_time(moment: int) -> str:
    """As `2026-11-30T12:00:00.000Z`."""
    seconds, milliseconds = divmod(moment, 1000)
    day, rest = divmod(seconds, _DAY)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day(day)}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"


def parse_time(text: str) -> int:
    """A date and time with its offset from UTC. Raises Invalid."""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid("expires_at must be a time as in RFC 3339, such as 2026-12-31T12:00:00Z.")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
