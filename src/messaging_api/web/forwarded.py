"""The syntax of the headers in which proxies describe the request that they received.

A proxy writes either `Forwarded` (RFC 7239) or the `X-Forwarded` headers, and adds itself to the right of what was
there. Of `X-Forwarded-Proto` and `X-Forwarded-Host` the last element is taken: the nearest proxy wrote it, whereas the
elements to its left may be the client's own.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from messaging_api.urls import is_authority

IPAddress = IPv4Address | IPv6Address

_ADDRESS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII)
_PAIR = re.compile(
    r'[ \t]*([\w!#$%&\'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[\w!#$%&\'*+.^`|~:\[\]-]*)[ \t]*([;,]|$)', re.ASCII
)
_EXAMINED = 2048
"""Characters at the end of a header that are examined: those in front cost nothing, whoever wrote them."""
_SECURE = {"https": True, "http": False}


class Hop(NamedTuple):
    """A request as one proxy received it: by whom it was sent, its scheme and its host; each "" if it is not said."""

    sender: str
    scheme: str
    authority: str

    @property
    def address(self) -> IPAddress | None:
        """The sender; None unless it is an address, perhaps with a port. IPv6 with a port has brackets."""
        found = _ADDRESS.fullmatch(self.sender.strip(" \t"))
        try:
            return ip_address(next(filter(None, found.groups()))) if found else None
        except ValueError:
            return None

    @property
    def secure(self) -> bool | None:
        """Whether the scheme is https; None unless it is http or https."""
        return _SECURE.get(self.scheme.strip(" \t").lower())

    @property
    def host(self) -> bytes | None:
        """The host; None unless it is valid in a Host header."""
        authority = self.authority.strip(" \t").encode("latin-1")
        return authority if is_authority(authority) else None


class ForwardingHeaders(NamedTuple):
    """The names of headers that belong together, and a function from their values to the hops, the last one first."""

    names: tuple[bytes, ...]
    hops: Callable[..., Iterator[Hop]]


def _x_forwarded(senders: str, schemes: str, authorities: str) -> Iterator[Hop]:
    scheme, authority = (texts.rpartition(",")[2] for texts in (schemes, authorities))
    for sender in reversed(senders[-_EXAMINED:].split(",")):
        yield Hop(sender, scheme, authority)


def _forwarded(text: str) -> Iterator[Hop]:
    """Yield the hops of `Forwarded` from the right, until one is malformed.

    An element is the shortest end of the text that is well-formed, so what a client wrote in front of what the proxies
    added, such as a quote, changes nothing.
    """
    rest = text[-_EXAMINED:].rstrip(", \t")
    while rest:
        for comma in _commas(rest):
            hop = _element(rest[comma + 1 :])
            if hop is not None:
                yield hop
                break
        else:
            return
        rest = rest[: max(comma, 0)].rstrip(", \t")


def _commas(text: str) -> Iterator[int]:
    """Yield the index of each comma from the right, and -1."""
    index = len(text)
    while index >= 0:
        index = text.rfind(",", 0, index)
        yield index


def _element(text: str) -> Hop | None:
    """Parse one element; None if it is malformed or empty."""
    said: dict[str, str] = {}
    at, end = 0, ";"
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None or pair[3] == "," or (name := pair[1].lower()) in said:
            return None
        said[name] = re.sub(r"\\(.)", r"\1", pair[2][1:-1]) if pair[2].startswith('"') else pair[2]
        at, end = pair.end(), pair[3]
    return Hop(said.get("for", ""), said.get("proto", ""), said.get("host", "")) if said and end != ";" else None


FORWARDING_HEADERS: Mapping[str, ForwardingHeaders] = {
    "x-forwarded-for": ForwardingHeaders((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"), _x_forwarded),
    "forwarded": ForwardingHeaders((b"forwarded",), _forwarded),
}
"""By the name of the header that has the client's address."""
