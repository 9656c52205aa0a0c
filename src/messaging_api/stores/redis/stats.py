"""Stats from the reply of Redis to INFO."""

from collections.abc import Sequence

from messaging_api.core.store import Stats
from messaging_api.stores.redis.connection import Reply
from messaging_api.stores.redis.replies import UnexpectedReply


def parse_info(info: Reply, db: int) -> Stats:
    """Return the stats of one server. Without `maxmemory` its capacity is the memory of its machine.

    Raises UnexpectedReply if a number is missing or malformed.
    """
    try:
        return _stats(info, db)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UnexpectedReply from None


def _stats(info: bytes, db: int) -> Stats:
    fields = dict(line.split(":", 1) for line in info.decode(errors="replace").splitlines() if ":" in line)
    used = int(fields["used_memory"])
    capacity = int(fields.get("maxmemory", 0)) or int(fields.get("total_system_memory", 0))
    return Stats(
        full=used / capacity if capacity else None,
        used_bytes=used,
        records=_count_keys(fields.get(f"db{db}", "")),
        expired=int(fields["expired_keys"]),
        evicted=int(fields["evicted_keys"]),
    )


def total(nodes: Sequence[Stats]) -> Stats:
    """Return the stats of several servers as one: sums, and the share of the fullest server."""
    return Stats(
        full=max((node.full for node in nodes if node.full is not None), default=None),
        used_bytes=sum(node.used_bytes for node in nodes),
        records=sum(node.records for node in nodes),
        expired=sum(node.expired or 0 for node in nodes),
        evicted=sum(node.evicted or 0 for node in nodes),
    )


def _count_keys(keyspace: str) -> int:
    """Return the number of keys from `keys=10,expires=10,…`; the line is missing for a database without keys."""
    return int(dict(part.split("=", 1) for part in keyspace.split(",") if part).get("keys", 0))
