"""The client of a request: the peer of the connection, or the client that a trusted proxy names.

Only the headers of a trusted proxy count. The client is the rightmost hop that is not a trusted proxy, because the hops
to its left were written by the client. `Forwarded` (RFC 7239) and `X-Forwarded-For` are read. A proxy writes one of
them and may pass on the other as the client sent it, so if both are present they must agree. If a header is malformed,
the client is the peer.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from messaging_api.core.ratelimit import client_key
from messaging_api.web.types import ClientAddress

Network = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

_CACHED = 256
"""Longest header that is cached, so that long headers cannot fill the memory."""
_HOP = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII)
_PAIR = re.compile(
    r'[ \t]*([\w!#$%&\'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[\w!#$%&\'*+.^`|~:\[\]-]*)[ \t]*([;,]|$)', re.ASCII
)


class ClientAddresses:
    """A resolver of client addresses. `trusted` are the networks of trusted proxies."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        self._of_peer = lru_cache(4096)(self._peer)
        self._of_hops = lru_cache(4096)(self._hops)

    def of(self, peer: str, headers: Mapping[bytes, bytes]) -> ClientAddress:
        """Return the client of a request with these headers from the address `peer`, which is "" for a local socket."""
        client, believed = self._of_peer(peer)
        return self._forwarded_for(client, headers) if believed else client

    def _peer(self, address: str) -> tuple[ClientAddress, bool]:
        client = _client(address)
        return client, bool(address and self._trusted) and self._is_trusted(ip_address(address))

    def _forwarded_for(self, peer: ClientAddress, headers: Mapping[bytes, bytes]) -> ClientAddress:
        """Return the client that a trusted peer names, or the peer if it names none or two different ones."""
        values = {name: headers[name] for name in (b"forwarded", b"x-forwarded-for") if headers.get(name)}
        named = {self._named(peer, name, value) for name, value in values.items()}
        return named.pop() if len(named) == 1 else peer

    def _named(self, peer: ClientAddress, name: bytes, value: bytes) -> ClientAddress:
        hops = self._of_hops if len(value) <= _CACHED else self._hops
        return hops(name, value) or peer

    def _hops(self, name: bytes, value: bytes) -> ClientAddress | None:
        """Return the rightmost untrusted hop, else the first hop; None if a hop on the way is not an address."""
        text = value.decode("latin-1")
        address: IPAddress | None = None
        for hop in reversed(_forwarded(text) if name == b"forwarded" else text.split(",")):
            address = _address(hop)
            if address is None or not self._is_trusted(address):
                break
        return None if address is None else _client(str(address))

    def _is_trusted(self, address: IPAddress) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in self._trusted)


def _client(address: str) -> ClientAddress:
    return ClientAddress(address, client_key(address))


def _address(hop: str) -> IPAddress | None:
    """Parse an address with an optional port, which is dropped. IPv6 with a port has brackets."""
    found = _HOP.fullmatch(hop.strip(" \t"))
    if found is None:
        return None
    try:
        return ip_address(next(filter(None, found.groups())))
    except ValueError:
        return None


def _forwarded(text: str) -> list[str]:
    """Return the `for` parameter of each element, from the first hop to the last; "" if it is missing or malformed."""
    hops: list[str] = []
    said, at = "", 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            return [""]
        name, value, end = pair.groups()
        if name.lower() == "for":
            if said:
                return [""]
            said = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = pair.end()
        if end != ";":
            hops.append(said)
            said = ""
    return hops if not said else [""]
