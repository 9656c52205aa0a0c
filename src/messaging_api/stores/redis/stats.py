"""What INFO says of a Redis, as Stats."""

from collections.abc import Sequence

from messaging_api.core.store import Stats


def parse_info(info: bytes, db: int) -> Stats:
    """The figures of one server. Without `maxmemory` its room is the memory of the machine it runs on."""
    facts = dict(line.split(":", 1) for line in info.decode(errors="replace").splitlines() if ":" in line)
    used = int(facts["used_memory"])
    room = int(facts.get("maxmemory", 0)) or int(facts.get("total_system_memory", 0))
    return Stats(
        full=used / room if room else None,
        used_bytes=used,
        records=_keys(facts.get(f"db{db}", "")),
        expired=int(facts["expired_keys"]),
        evicted=int(facts["evicted_keys"]),
    )


def total(nodes: Sequence[Stats]) -> Stats:
    """The figures of many servers as one."""
    return Stats(
        full=max((one.full for one in nodes if one.full is not None), default=None),
        used_bytes=sum(one.used_bytes for one in nodes),
        records=sum(one.records for one in nodes),
        expired=sum(one.expired or 0 for one in nodes),
        evicted=sum(one.evicted or 0 for one in nodes),
    )


def _keys(keyspace: str) -> int:
    """Of `keys=10,expires=10,…`, which is missing for a database without keys."""
    return int(dict(part.split("=", 1) for part in keyspace.split(",") if part).get("keys", 0))
