"""What a run of the comparison gives."""

import statistics
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.load import Figures
from benchmarks.servers import Memory

BASELINE = "baseline: uvicorn"


class Case(NamedTuple):
    """A row of the table: which server, `read` or `create`, over how many connections."""

    server: str
    request: str
    connections: int


@dataclass(frozen=True)
class Footprint:
    """What a service takes besides CPU: seconds to its first response, and memory after that and after the run."""

    start_seconds: float
    started: Memory
    ended: Memory


Rounds = dict[Case, list[Figures]]


class Results(NamedTuple):
    """The figures of all rounds by row, and the footprints by server."""

    rounds: Rounds
    footprints: dict[str, Footprint]


def medians(runs: list[Figures]) -> Figures:
    """Return the median of each figure, and the sum of errors and of requests."""
    names = ("rps", "cpu_us", "ratio", "p50", "p99", "redis_reads")
    middle = {name: statistics.median(getattr(one, name) for one in runs) for name in names}
    return Figures(**middle, errors=sum(one.errors for one in runs), requests=sum(one.requests for one in runs))


def cpu_ratio(rounds: Rounds, one: Case, other: Case) -> float | None:
    """Return the median over the rounds of `one`'s CPU in units of `other`'s; None if either was not measured."""
    if one not in rounds or other not in rounds:
        return None
    return statistics.median(a.cpu_us / b.cpu_us for a, b in zip(rounds[one], rounds[other], strict=True))
