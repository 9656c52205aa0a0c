"""The syntax of the headers in which proxies describe the request that they received.

A proxy writes either `Forwarded` (RFC 7239) or the `X-Forwarded` headers, and adds itself to the right of what was
there. Of `X-Forwarded-Proto` and `X-Forwarded-Host` the last element is taken: the nearest proxy wrote it, whereas the
elements to its left may be the client's own.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from messaging_api.urls import is_authority

IPAddress = IPv4Address | IPv6Address

_ADDRESS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII)
_PAIR = re.compile(
    r'[ \t]*([\w!#$%&\'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[\w!#$%&\'*+.^`|~:\[\]-]*)[ \t]*([;,]|$)', re.ASCII
)
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
    """The names of headers that belong together, and a function from their values to the hops, the last one last."""

    names: tuple[bytes, ...]
    hops: Callable[..., list[Hop]]


def _x_forwarded(senders: str, schemes: str, authorities: str) -> list[Hop]:
    scheme, authority = (texts.rpartition(",")[2] for texts in (schemes, authorities))
    return [Hop(sender, scheme, authority) for sender in senders.split(",")]


def _forwarded(text: str) -> list[Hop]:
    """Return the hops of `Forwarded`; none if it is malformed."""
    hops: list[Hop] = []
    said: dict[str, str] = {}
    at, end = 0, ""
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None or (name := pair[1].lower()) in said:
            return []
        said[name] = re.sub(r"\\(.)", r"\1", pair[2][1:-1]) if pair[2].startswith('"') else pair[2]
        at, end = pair.end(), pair[3]
        if end != ";":
            hops.append(Hop(said.get("for", ""), said.get("proto", ""), said.get("host", "")))
            said = {}
    return hops if end != ";" else []


FORWARDING_HEADERS: Mapping[str, ForwardingHeaders] = {
    "x-forwarded-for": ForwardingHeaders((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"), _x_forwarded),
    "forwarded": ForwardingHeaders((b"forwarded",), _forwarded),
}
"""By the name of the header that has the client's address."""
