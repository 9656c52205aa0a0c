"""Lifetimes as people write them: 90, 90s, 5m, 1h, 7d or 2w."""

import re
from datetime import timedelta

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> int:
    """Return the seconds of a duration. Raise ValueError."""
    found = re.fullmatch("([0-9]{1,9})([smhdw]?)", text, re.ASCII)
    if not found:
        raise ValueError("a duration is written like 90, 90s, 5m, 1h, 7d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def format_duration(seconds: int) -> str:
    """Return a duration in the largest unit that needs no fraction, such as 7d; weeks are written as days."""
    unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def seconds_of(duration: int | timedelta | str) -> int:
    """Return the whole seconds of a duration. Raise TypeError or ValueError."""
    if isinstance(duration, str):
        return parse_duration(duration)
    if isinstance(duration, timedelta):
        return int(duration.total_seconds())
    if isinstance(duration, bool) or not isinstance(duration, int):
        raise TypeError(f"ttl must be an int, a timedelta or a str such as '1h', not {type(duration).__name__}")
    return duration
