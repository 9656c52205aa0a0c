"""Hash slots of a cluster: the slot of a key, and the node of each slot (Redis Cluster specification)."""

import itertools
from binascii import crc_hqx
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.replies import UnexpectedReply
from messaging_api.stores.redis.url import Endpoint

SLOTS = 16384

CLUSTER_SLOTS: Command = ("CLUSTER", "SLOTS")
"""The query for the master of each slot. All versions know it, and it returns host names where they are preferred."""


def slot_of(key: bytes) -> int:
    """Return the slot of `key`: CRC16 (XMODEM) of the key, or of its first non-empty part in braces."""
    begin = key.find(b"{") + 1
    if begin and (end := key.find(b"}", begin)) > begin:
        key = key[begin:end]
    return crc_hqx(key, 0) % SLOTS


@cache
def _tags() -> dict[int, bytes]:
    """Return a hash tag of two bytes for each slot."""
    tags = (bytes(pair) for pair in itertools.product(range(256), repeat=2))
    return {crc_hqx(tag, 0) % SLOTS: tag for tag in tags if b"}" not in tag}


def tag_of(slot: int) -> bytes:
    """Return a hash tag, with its braces, that puts a key into `slot`."""
    return b"{%b}" % _tags()[slot]


def masters(reply: Reply, queried: Endpoint) -> list[tuple[range, Endpoint]]:
    """Return each range of slots and its master from the reply to CLUSTER_SLOTS of the node `queried`.

    Raises UnexpectedReply, also if a slot occurs twice.
    """
    if not isinstance(reply, list):
        raise UnexpectedReply
    found = sorted((_master(each, queried) for each in reply), key=lambda served: served[0].start)
    if any(before.stop > after.start for (before, _), (after, _) in pairwise(found)):
        raise UnexpectedReply
    return found


def _master(reply: Reply, queried: Endpoint) -> tuple[range, Endpoint]:
    match reply:
        case [int(first), int(last), [bytes() | None as host, int(port), *_], *_] if 0 <= first <= last < SLOTS:
            try:
                named = Endpoint.parse((host or b"?").decode(), str(port))
            except ValueError:
                raise UnexpectedReply from None
            return range(first, last + 1), node_endpoint(*named, queried)
    raise UnexpectedReply


def node_endpoint(host: str, port: int, queried: Endpoint) -> Endpoint:
    """Return the endpoint of a node named by the node `queried`; without a host (as in MOVED) it has the same host."""
    return Endpoint(host if host not in ("", "?") else queried.host, port)


def count_slots(ranges: Sequence[tuple[range, Endpoint]]) -> int:
    """Return the number of slots in `ranges`."""
    return sum(len(slots) for slots, _ in ranges)
