"""The audit log aggregates repeated events and loses none."""

import json
from pathlib import Path
from typing import Any

import pytest

from messaging_api.observability.audit import MANY_CLIENTS, MAX_DISTINCT, AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import ProcessMetrics, SharedMetrics
from messaging_api.observability.rotating_file import NAME, DailyFile
from messaging_api.web.routes import LABELS


@pytest.fixture
def metrics() -> ProcessMetrics:
    return SharedMetrics(1, LABELS).workers[0]


@pytest.fixture
def audit(tmp_path: Path, metrics: ProcessMetrics) -> AuditLog:
    return AuditLog(JsonLogger(DailyFile(str(tmp_path), 400), console=-1), metrics)


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the log, without times."""
    entries = [json.loads(line) for line in (folder / NAME).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in entries]


def test_first_event_is_logged_at_once_and_the_rest_together(
    tmp_path: Path, audit: AuditLog, metrics: ProcessMetrics
) -> None:
    """The first event has a line, the 999 that follow within a second have one together, then it starts again."""
    for n in range(1000):
        audit.rejected("limit_read", "192.0.2.1", request_id=f"id{n}", route="/msg", status=n)
    same = {"level": "warning", "event": "refused", "route": "/msg", "reason": "limit_read", "client": "192.0.2.1"}
    first = {**same, "request_id": "id0", "status": 0, "count": 1}
    assert lines(tmp_path) == [first]
    audit.report()
    rest = {**same, "request_id": "id999", "status": 999, "count": 999}
    assert lines(tmp_path) == [first, rest]
    audit.report()
    assert len(lines(tmp_path)) == 2
    audit.rejected("limit_read", "192.0.2.1", route="/msg", status=200)
    assert lines(tmp_path)[-1]["count"] == 1
    assert metrics.get("messaging_refusals", "limit_read") == 1001


def test_clients_reasons_and_events_are_separate(tmp_path: Path, audit: AuditLog) -> None:
    """Each client, reason and event has its own first line."""
    for client in ("192.0.2.1", "192.0.2.2"):
        for reason in ("token", "invalid"):
            audit.rejected(reason, client)
            audit.failed("store_failed", "full", client, detail="x")
    entries = [(line["event"], line["level"], line["reason"], line["client"]) for line in lines(tmp_path)]
    assert len(entries) == len(set(entries)) == 6
    assert {level for event, level, *_ in entries if event == "store_failed"} == {"error"}


def test_flood_from_many_clients_is_one_line(tmp_path: Path, audit: AuditLog) -> None:
    """Events of very many clients are aggregated: memory and log are limited, and the number is correct."""
    for n in range(3 * MAX_DISTINCT):
        audit.rejected("limit_miss", f"client {n}")
    audit.report()
    entries = lines(tmp_path)
    assert len(entries) == MAX_DISTINCT + 2
    assert [line["count"] for line in entries if line["client"] == MANY_CLIENTS] == [1, 2 * MAX_DISTINCT - 1]
    assert sum(line["count"] for line in entries) == 3 * MAX_DISTINCT
