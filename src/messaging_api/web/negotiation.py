"""Content negotiation (RFC 9110, section 12.5) and content types (section 8.3)."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from messaging_api.errors import InvalidRequest

Format = Literal["json", "text", "html"]

_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_FORMATS: dict[str, Format] = {"application/json": "json", "text/plain": "text", "text/html": "html"}
_MAX_PARSED = 1024
"""Bytes of a longer Accept header that are looked at: all of 64 KiB would take 50 ms."""
_CACHED = 256
"""Longest header that is cached, so that long headers cannot fill the memory."""


class AcceptedFormat(NamedTuple):
    """The format to respond in. `named`: application/json or text/plain, beyond doubt, and liked better than HTML."""

    format: Format
    named: bool


def accepted_format(accept: bytes) -> AcceptedFormat:
    """Return the best of our formats; JSON for wildcards, for an empty header and for formats we do not have.

    HTML comes first among equals: a page spends no read. A header that can be read in two ways names nothing.
    """
    if len(accept) <= _CACHED:
        return _cached(accept)
    if len(accept) <= _MAX_PARSED:
        return _choose(accept)
    return AcceptedFormat(_choose(accept[:_MAX_PARSED].rpartition(b",")[0]).format, named=False)


def _choose(accept: bytes) -> AcceptedFormat:
    weights: dict[Format, float] = {}
    clear = b'"' not in accept  # a quoted string may contain commas
    for name, weight in _ranges(accept.decode("latin-1")):
        if name in _FORMATS:
            one = _FORMATS[name]
            clear &= weight is not None and weights.get(one, weight) == weight
            weights[one] = max(weights.get(one, 0.0), weight or 0.0)
    accepted = [one for one, weight in weights.items() if weight > 0]
    best = max(accepted, key=lambda one: (weights[one], one == "html", one == "json"), default=None)
    return AcceptedFormat(best or "json", named=clear and best in ("json", "text"))


_cached = lru_cache(1024)(_choose)


def _ranges(accept: str) -> list[tuple[str, float | None]]:
    """Return each range of a header and its weight (RFC 9110, section 12.4.2); None for one that is not valid."""
    ranges = []
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [piece for piece in parameters if piece.partition("=")[0].strip() == "q"] or ["q=1"]
        valid = len(weights) == 1 and _WEIGHT.fullmatch(weights[0])
        ranges.append((name, float(valid[1]) if valid else None))
    return ranges


def language(accept: bytes, offered: tuple[str, ...]) -> str:
    """Return the offered language that the client prefers (RFC 4647, section 3.4), or the first one offered."""
    liked = sorted(_ranges(accept[:_CACHED].decode("latin-1")), key=lambda one: -(one[1] or 0))
    names = (name.partition("-")[0] for name, weight in liked if weight)
    return next((name for name in names if name in offered), offered[0])


def accepts(accept: bytes, coding: str) -> bool:
    """Return whether an Accept-Encoding header names `coding` (RFC 9110, section 12.5.3)."""
    return any(name == coding and bool(weight) for name, weight in _ranges(accept[:_CACHED].decode("latin-1")))


def media_type(content_type: bytes | None) -> tuple[str, str]:
    """Return the media type in lower case and its boundary parameter, "" without one.

    Raises InvalidRequest for a charset other than UTF-8.
    """
    name, *parameters = (content_type or b"").decode("latin-1").split(";")
    boundary = ""
    for parameter in parameters:
        key, _, value = (piece.strip() for piece in parameter.partition("="))
        value = value.strip('"')
        if key.lower() == "charset" and value.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise InvalidRequest("Send UTF-8: no other charset is accepted.")
        if key.lower() == "boundary":
            boundary = value
    return name.strip().lower(), boundary
