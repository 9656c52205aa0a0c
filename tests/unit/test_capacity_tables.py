"""The tables of docs/scaling.md follow from measured figures."""

import itertools
import json
from pathlib import Path

import pytest
from benchmarks import capacity_model

ROOT = Path(__file__).parents[2]
MEASURED = json.loads((ROOT / "docs" / "performance" / "capacity.json").read_text())


def test_tables_match_the_figures() -> None:
    """Figures and arithmetic give exactly the tables in the document."""
    text = (ROOT / "docs" / "scaling.md").read_text()
    between = text.split("<!-- capacity -->")[1].split("<!-- /capacity -->")[0]
    assert between.strip() == capacity_model.tables(MEASURED)


def test_needs_match_a_calculation_by_hand() -> None:
    """For a hundred million messages a day: requests, memory and log."""
    need = capacity_model.need(MEASURED, 100_000_000)
    assert need.peak_rps == pytest.approx(100e6 * 3 / 86_400 * 5)
    assert need.live == 800_000_000
    assert need.redis_gib == pytest.approx(8e8 * MEASURED["redis"]["bytes"]["1024"] * 1.5 / 2**30)
    assert need.log_gib == pytest.approx(3e8 * 400 * MEASURED["log"]["line"] / 2**30)
    create, read = (MEASURED["redis requests"][what]["service_us"] for what in ("create", "read"))
    assert need.cores == pytest.approx(need.peak_rps / 3 * (create + 2 * read) / 1e6)


def test_twice_the_messages_never_need_less() -> None:
    """No requirement decreases with more messages."""
    needs = [capacity_model.need(MEASURED, 10**n) for n in range(3, 10)]
    for fewer, more in itertools.pairwise(needs):
        assert all(small <= large for small, large in zip(fewer, more, strict=True))
