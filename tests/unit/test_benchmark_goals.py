"""The table of goals follows from the figures of a run."""

from pathlib import Path

import pytest
from benchmarks import versions
from benchmarks.goals import NOT_MEASURED, Goal, goals
from benchmarks.load import Figures
from benchmarks.results import BASELINE, Case, Footprint, Results
from benchmarks.servers import Memory

READ = "CPU for a read, Redis / baseline"
TWO_WORKERS = "two workers on one core / one worker, CPU for a read, Redis"
START = "start to first response, Redis"


def figures(*cpu_us: float) -> list[Figures]:
    """One measurement for each round."""
    return [Figures(1000, cpu, 1, 2, 0) for cpu in cpu_us]


def results(now_us: float, two_workers_us: float, start_seconds: float) -> Results:
    """Three rounds in which version 0.1.0 costs twice the baseline, and the machine slows down meanwhile."""
    slower = (1, 2, 4)
    cpu = {
        BASELINE: 20.0,
        f"{BASELINE}, 2 workers": 21.0,
        "0.1.0, Redis": 40.0,
        "now, Redis": now_us,
        "now, Redis, 2 workers": two_workers_us,
    }
    rounds = {Case(name, "read", 32): figures(*(each * times for times in slower)) for name, each in cpu.items()}
    footprint = {
        name: Footprint(seconds, Memory(40, 50), Memory(44, 55))
        for name, seconds in (
            ("0.1.0, Redis", 0.4),
            ("now, Redis", start_seconds),
        )
    }
    return Results(rounds, footprint)


def by_name(result: Results) -> dict[str, Goal]:
    """Return the rows by their names."""
    return {goal.what: goal for goal in goals(result)}


def test_ratios_within_the_goals_are_met() -> None:
    """Ratios are taken within a round, so a machine that slows down changes nothing."""
    rows = by_name(results(now_us=20, two_workers_us=22, start_seconds=0.41))
    assert rows[READ] == Goal(READ, "≤ 1.00", "2.00", "1.00", met=True)
    assert rows[TWO_WORKERS] == Goal(TWO_WORKERS, "≤ 1.10 (baseline: 1.05)", NOT_MEASURED, "1.10", met=True)
    assert rows[START].met


def test_ratios_above_the_goals_are_not_met() -> None:
    """A ratio of one hundredth more misses the goal."""
    rows = by_name(results(now_us=20.2, two_workers_us=22.5, start_seconds=0.43))
    assert [rows[name].met for name in (READ, TWO_WORKERS, START)] == [False, False, False]


def test_servers_left_out_are_reported_as_not_measured() -> None:
    """With --only and --skip-old the table has the same rows."""
    rows = by_name(Results({}, {}))
    assert rows.keys() == by_name(results(20, 22, 0.4)).keys()
    assert {(row.old, row.now, row.met) for row in rows.values()} == {(NOT_MEASURED, NOT_MEASURED, None)}


def test_shallow_clone_gets_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shallow clone does not have version 0.1.0."""
    monkeypatch.setattr(versions, "CACHE", tmp_path)
    monkeypatch.setattr(versions, "COMMIT", "0" * 40)
    with pytest.raises(SystemExit, match="--skip-old"):
        versions.measured_versions(skip_old=False)
    assert versions.measured_versions(skip_old=True) == [versions.CURRENT]
