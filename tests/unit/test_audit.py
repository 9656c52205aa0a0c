"""What was turned away is told without a flood, and nothing is lost silently."""

import json
from pathlib import Path
from typing import Any

import pytest

from messaging_api.observability.audit import MANY, MOST, Refusals
from messaging_api.observability.logging import Journal, request_id
from messaging_api.observability.metrics import Board, Row
from messaging_api.observability.rotating_file import NAME, LogFile


@pytest.fixture
def row() -> Row:
    return Board(1).rows[0]


@pytest.fixture
def refusals(tmp_path: Path, row: Row) -> Refusals:
    return Refusals(Journal(LogFile(str(tmp_path), 400), console=-1), row)


def lines(folder: Path) -> list[dict[str, Any]]:
    """What the log holds, without times."""
    told = [json.loads(line) for line in (folder / NAME).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in told]


def test_the_first_is_told_at_once_and_the_rest_as_one(tmp_path: Path, refusals: Refusals, row: Row) -> None:
    """A line for the first, one for the 999 that follow within the second, then it begins anew."""
    for n in range(1000):
        token = request_id.set(f"id{n}")
        refusals.note("limit_read", "192.0.2.1", route="/msg", status=n)
        request_id.reset(token)
    same = {"level": "warning", "event": "refused", "route": "/msg", "reason": "limit_read", "client": "192.0.2.1"}
    first = {**same, "request_id": "id0", "status": 0, "count": 1}
    assert lines(tmp_path) == [first]
    refusals.report()
    rest = {**same, "request_id": "id999", "status": 999, "count": 999}
    assert lines(tmp_path) == [first, rest]
    refusals.report()
    assert len(lines(tmp_path)) == 2
    refusals.note("limit_read", "192.0.2.1", route="/msg", status=200)
    assert lines(tmp_path)[-1]["count"] == 1
    assert row.get("messaging_refusals", "limit_read") == 1001


def test_clients_reasons_and_events_are_told_apart(tmp_path: Path, refusals: Refusals) -> None:
    """Each has its own first line."""
    for client in ("192.0.2.1", "192.0.2.2"):
        for reason in ("token", "invalid"):
            refusals.note(reason, client)
            refusals.fault("store_failed", "full", client, detail="x")
    told = [(line["event"], line["level"], line["reason"], line["client"]) for line in lines(tmp_path)]
    assert len(told) == len(set(told)) == 6
    assert {level for event, level, *_ in told if event == "store_failed"} == {"error"}


def test_a_flood_from_everywhere_is_told_as_one(tmp_path: Path, refusals: Refusals) -> None:
    """From more clients than can be told apart: memory and log are bounded, and the number is right."""
    for n in range(3 * MOST):
        refusals.note("limit_miss", f"client {n}")
    refusals.report()
    told = lines(tmp_path)
    assert len(told) == MOST + 2
    assert [line["count"] for line in told if line["client"] == MANY] == [1, 2 * MOST - 1]
    assert sum(line["count"] for line in told) == 3 * MOST
