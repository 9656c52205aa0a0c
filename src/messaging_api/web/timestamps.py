"""Timestamps in requests (RFC 3339). `observability/timestamps.py` formats those in responses."""

from datetime import UTC, datetime, timedelta

import msgspec

from messaging_api.errors import InvalidRequest

_EPOCH = datetime.fromtimestamp(0, UTC)


def parse_time(text: str) -> int:
    """Parse a date and time with its offset from UTC to ms since the epoch. Raises InvalidRequest."""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest("expires_at must be an RFC 3339 time, such as 2026-12-31T12:00:00Z.")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
