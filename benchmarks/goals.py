"""Compare the results with the goals: the costs that this version must reach, and those that must not grow."""

import operator
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.results import BASELINE, Case, Footprint, Results, Rounds, cpu_ratio
from benchmarks.versions import NOW, OLD

CONNECTIONS = 32
MOST_FOR_TWO_WORKERS = 1.10
TOLERANCE = 1.05
"""Times version 0.1.0's figure that one which must not grow may reach: runs differ by so much."""
NOT_MEASURED = "not measured"

_CPU = {("read", "Redis"): 1.0, ("read", "SQLite"): 1.1, ("create", "Redis"): 1.25, ("create", "SQLite"): 2.5}
"""CPU that a request may cost, in units of the baseline's."""
_FOOTPRINT: dict[str, tuple[str, Callable[[Footprint], float]]] = {
    "start to first response": ("s", operator.attrgetter("start_seconds")),
    "RSS of the worker after the start": ("MiB", operator.attrgetter("started.worker_rss")),
    "RSS of the worker after the run": ("MiB", operator.attrgetter("ended.worker_rss")),
    "memory of all processes (PSS) after the run": ("MiB", operator.attrgetter("ended.total_pss")),
}


class Goal(NamedTuple):
    """A row of the table of goals; `met` is None if it cannot be said."""

    what: str
    goal: str
    old: str
    now: str
    met: bool | None


def goals(results: Results) -> list[Goal]:
    """Return all goals, with the figures of version 0.1.0 and of the current tree."""
    return [
        *_against_baseline(results.rounds),
        *_two_workers(results.rounds),
        Goal("requests a second against haste-server", "≥ 1.15", NOT_MEASURED, NOT_MEASURED, None),
        *_no_worse(results.footprints),
    ]


def _against_baseline(rounds: Rounds) -> Iterator[Goal]:
    for (request, store), most in _CPU.items():
        base = Case(BASELINE, request, CONNECTIONS)
        old, now = (
            cpu_ratio(rounds, Case(f"{version}, {store}", request, CONNECTIONS), base) for version in (OLD, NOW)
        )
        yield Goal(f"CPU for a {request}, {store} / baseline", f"≤ {most:.2f}", _cell(old), _cell(now), _met(now, most))


def _two_workers(rounds: Rounds) -> Iterator[Goal]:
    for request, store in _CPU:
        old, now, base = (
            _workers_ratio(rounds, server, request) for server in (f"{OLD}, {store}", f"{NOW}, {store}", BASELINE)
        )
        yield Goal(
            f"two workers on one core / one worker, CPU for a {request}, {store}",
            f"≤ {MOST_FOR_TWO_WORKERS:.2f} (baseline: {_cell(base)})",
            _cell(old),
            _cell(now),
            _met(now, MOST_FOR_TWO_WORKERS),
        )


def _workers_ratio(rounds: Rounds, server: str, request: str) -> float | None:
    two, one = (Case(name, request, CONNECTIONS) for name in (f"{server}, 2 workers", server))
    return cpu_ratio(rounds, two, one)


def _no_worse(footprints: dict[str, Footprint]) -> Iterator[Goal]:
    for store in ("SQLite", "Redis"):
        for what, (unit, value) in _FOOTPRINT.items():
            old, now = (
                value(footprints[name]) if (name := f"{version}, {store}") in footprints else None
                for version in (OLD, NOW)
            )
            most = None if old is None else old * TOLERANCE
            yield Goal(
                f"{what}, {store}", f"≤ {TOLERANCE} times 0.1.0", _cell(old, unit), _cell(now, unit), _met(now, most)
            )


def _cell(value: float | None, unit: str = "") -> str:
    return NOT_MEASURED if value is None else f"{value:.{1 if unit == 'MiB' else 2}f} {unit}".rstrip()


def _met(value: float | None, most: float | None) -> bool | None:
    return None if value is None or most is None else round(value, 2) <= round(most, 2)
