"""Compute nodes, memory and money from the figures of capacity.json and stated assumptions; measure nothing."""

import math
from typing import Any, NamedTuple

DAY = 86_400
GIB = 2**30


class Assumptions(NamedTuple):
    """Assumptions that no benchmark gives. Replace the prices, US dollars a month in late 2026, by yours."""

    life: int = 7  # days; the receipt, which is counted too, lives one more
    requests: int = 3  # a create, a read, and one more: a preview, a receipt or a miss
    peak: int = 5  # times the mean
    busy: float = 0.6  # of a core, at the peak
    node_cores: int = 2
    node_price: float = 30
    copies: int = 2  # of each record: a master's and its replica's
    memory_spare: float = 1.5  # fragmentation, and what a rewrite of the append-only file copies meanwhile
    largest: int = 64  # GiB of memory of one Redis
    memory_price: float = 5  # a GiB
    disk_price: float = 0.1  # a GiB
    log_days: int = 400


ASSUMED = Assumptions()
Measured = dict[str, Any]


class Need(NamedTuple):
    """The resources for a number of messages a day."""

    messages: int
    peak_rps: float
    cores: float
    nodes: int
    redis_core: float
    live: int
    redis_gib: float
    read_gib: float
    shards: int
    sqlite_gib: float
    log_gib: float
    price: float


def need(measured: Measured, messages: int, a: Assumptions = ASSUMED) -> Need:
    """Return the need for messages of 1 KiB that nobody reads before they expire: the most that storing can cost."""
    create, read = (measured["redis requests"][what] for what in ("create", "read"))
    creates = messages / DAY * a.peak
    reads = creates * (a.requests - 1)
    cores = (creates * create["service_us"] + reads * read["service_us"]) / 1e6
    nodes = max(2, math.ceil(cores / a.busy / a.node_cores) + 1)
    live = messages * (a.life + 1)
    redis_gib = live * measured["redis"]["bytes"]["1024"] * a.memory_spare / GIB
    shards = max(1, math.ceil(redis_gib / a.largest))
    read_gib = redis_gib * measured["redis"]["read"] / measured["redis"]["bytes"]["1024"]
    log_gib = messages * a.requests * measured["log"]["line"] * a.log_days / GIB
    disk = live * measured["append_only"] * 2 * a.copies / GIB + log_gib
    price = nodes * a.node_price + redis_gib * a.copies * a.memory_price + disk * a.disk_price
    redis_core = (creates * create["redis_us"] + reads * read["redis_us"]) / 1e6
    sqlite_gib = live * measured["sqlite"]["bytes"]["1024"] / GIB
    peak_rps = creates * a.requests
    return Need(
        messages, peak_rps, cores, nodes, redis_core, live, redis_gib, read_gib, shards, sqlite_gib, log_gib, price
    )


def _figure(number: float) -> str:
    """Format a number with two significant digits, or with all digits before the point."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.2g}" if number >= 10 or number < 1 else f"{number:.1f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _measured_table(m: Measured) -> str:
    redis, sqlite = m["redis"], m["sqlite"]
    rows = [
        [
            f"a message of {size} bytes and its receipt, at rest",
            f"{redis['bytes'][size]:,.0f} B",
            f"{sqlite['bytes'][size]:,.0f} B",
        ]
        for size in redis["bytes"]
    ]
    rows += [
        [
            "what is left of 1,024 bytes when the one reader has had them",
            f"{redis['read']:,.0f} B",
            f"{sqlite['read']:,.0f} B",
        ],
        ["the same message in the append-only file", f"{m['append_only']:,.0f} B", "-"],
        *(
            [
                f"CPU of the service for a {what}",
                *(f"{m[f'{kind} requests'][what]['service_us']:.0f} µs" for kind in ("redis", "sqlite")),
            ]
            for what in ("create", "read")
        ),
        *(
            [f"CPU of Redis for a {what}", f"{m['redis requests'][what]['redis_us']:.1f} µs", "-"]
            for what in ("create", "read")
        ),
        *(
            [
                f"{what}s a second, one worker",
                *(f"{m[f'{kind} requests'][what]['rps']:,.0f}" for kind in ("redis", "sqlite")),
            ]
            for what in ("create", "read")
        ),
        ["a line of the log, and gzipped", f"{m['log']['line']:.0f} B, {m['log']['gzipped']:.0f} B", "the same"],
    ]
    return _table(["measured", "Redis", "SQLite"], rows)


def _need_table(m: Measured) -> str:
    needs = [need(m, messages) for messages in (10_000, 1_000_000, 100_000_000)]
    lines = {
        "requests a second at the peak": lambda n: _figure(n.peak_rps),
        "cores of the service at the peak": lambda n: _figure(n.cores),
        "nodes of two cores, one to spare": lambda n: str(n.nodes),
        "of a core of Redis at the peak": lambda n: _figure(n.redis_core),
        "messages kept": lambda n: f"{n.live:,}",
        "memory for Redis, once": lambda n: f"{_figure(n.redis_gib)} GiB",
        "… were each read at once by its one reader": lambda n: f"{_figure(n.read_gib)} GiB",
        "shards (masters)": lambda n: str(n.shards),
        "or a SQLite file of": lambda n: f"{_figure(n.sqlite_gib)} GiB",
        "log of 400 days, not compressed": lambda n: f"{_figure(n.log_gib)} GiB",
        "US$ a month, with a replica of each shard": lambda n: _figure(n.price),
    }
    rows = [[name, *map(show, needs)] for name, show in lines.items()]
    return _table(["messages a day", *(f"{one.messages:,}" for one in needs)], rows)


def _limits_table(m: Measured, a: Assumptions = ASSUMED) -> str:
    """Return the messages a day at which each part reaches its limit, smallest first."""
    one = need(m, DAY)  # a message a second
    sqlite = {what: m["sqlite requests"][what]["rps"] for what in ("create", "read")}
    busy = 1 / sqlite["create"] + (a.requests - 1) / sqlite["read"]
    ends = {
        f"memory of one Redis with {a.largest} GiB": a.largest / one.redis_gib,
        "SQLite: the one writer, one worker, on the disk measured": a.busy / busy / a.peak,
        "one core of Redis": a.busy / one.redis_core,
        "one node of two cores": a.busy * a.node_cores / one.cores,
        "a cluster of 100 shards, memory": 100 * a.largest / one.redis_gib,
    }
    rows = [[name, f"{times * DAY / 1e6:,.1f} million"] for name, times in sorted(ends.items(), key=lambda end: end[1])]
    return _table(["what ends", "at messages a day"], rows)


def tables(measured: Measured) -> str:
    """Return the tables of docs/scaling.md, as Markdown."""
    return "\n\n".join([_measured_table(measured), _need_table(measured), _limits_table(measured)])
