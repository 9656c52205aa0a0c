"""The client of a request, and the scheme and host that it used: those of the connection, or what a proxy forwards.

Only trusted proxies are believed, and only the headers that they are known to write: other headers may be the client's
own. The client is the rightmost sender that is not a trusted proxy, because the client wrote what is further left. What
is malformed counts as missing.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from messaging_api.core.ratelimit import client_key
from messaging_api.web.forwarded import FORWARDING_HEADERS, Hop, IPAddress
from messaging_api.web.types import ClientAddress, Request

Network = IPv4Network | IPv6Network

_CACHED = 256
"""Longest headers that are cached, so that long headers cannot fill the memory."""


class _Forwarded(NamedTuple):
    """What the proxies say; None for what they do not say."""

    client: ClientAddress | None
    secure: bool | None
    host: bytes | None


class TrustedProxies:
    """The proxies in `networks`. `header` is the one with the client's address: a key of `FORWARDING_HEADERS`."""

    def __init__(self, networks: Iterable[Network] = (), header: str = "x-forwarded-for") -> None:
        self._networks = tuple(networks)
        self._names, self._hops = FORWARDING_HEADERS[header]
        self._of_peer = lru_cache(4096)(self._peer)
        self._cached = lru_cache(4096)(self._interpret)

    def resolve(self, request: Request) -> None:
        """Set the client of `request`, and its scheme and host if a trusted peer forwards them."""
        request.client, trusted = self._of_peer(request.peer)
        if trusted:
            self._believe(request)

    def _peer(self, address: str) -> tuple[ClientAddress, bool]:
        trusted = bool(address and self._networks) and self._is_trusted(ip_address(address))
        return _client(address), trusted

    def _believe(self, request: Request) -> None:
        values = [request.headers.get(name, b"") for name in self._names]
        said = (self._cached if sum(map(len, values)) <= _CACHED else self._interpret)(*values)
        request.client = said.client or request.client
        request.secure = request.secure if said.secure is None else said.secure
        request.host = said.host or request.host

    def _interpret(self, *values: bytes) -> _Forwarded:
        """Return what the proxy says that received the request from the client, or from the first hop."""
        hop, address = Hop("", "", ""), None
        for hop in self._hops(*[value.decode("latin-1") for value in values]):
            address = hop.address
            if address is None or not self._is_trusted(address):
                break
        client = None if address is None else _client(str(address))
        return _Forwarded(client, hop.secure, hop.host)

    def _is_trusted(self, address: IPAddress) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)


def _client(address: str) -> ClientAddress:
    return ClientAddress(address, client_key(address))
