"""Which slot of a cluster a key lies in, and which node serves which slot (Redis Cluster specification)."""

from binascii import crc_hqx
from collections.abc import Iterator, Sequence

from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.url import Endpoint

SLOTS = 16384

VIEW: Command = ("CLUSTER", "SLOTS")
"""Asks a node which master serves which slot. Known to all versions, and tells host names where they are preferred."""


def slot_of(key: bytes) -> int:
    """The slot of `key`: CRC16 (XMODEM) of it, or of its first non-empty part in braces."""
    begin = key.find(b"{") + 1
    if begin and (end := key.find(b"}", begin)) > begin:
        key = key[begin:end]
    return crc_hqx(key, 0) % SLOTS


def masters(view: Reply, asked: Endpoint) -> Iterator[tuple[range, Endpoint]]:
    """The slots in a reply to VIEW that `asked` gave, and the master of each range."""
    for first, last, (host, port, *_), *_ in view:
        yield range(first, last + 1), located((host or b"").decode(), port, asked)


def located(host: str, port: int, asked: Endpoint) -> Endpoint:
    """Where a node is that `asked` names; one without a host is on its own (as with MOVED)."""
    return Endpoint(host if host not in ("", "?") else asked.host, port)


def served(ranges: Sequence[tuple[range, Endpoint]]) -> int:
    """How many slots these are."""
    return sum(len(slots) for slots, _ in ranges)
