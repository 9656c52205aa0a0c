"""The heartbeat that each worker writes once a second."""

import asyncio
from typing import cast

import pytest

from messaging_api.observability.audit import AuditLog
from messaging_api.observability.metrics import SharedMetrics
from messaging_api.runtime import heartbeat
from messaging_api.server.load import ServedConnection, WorkerLoad
from messaging_api.web.routes import LABELS


def test_heartbeat_goes_on_when_the_loop_wakes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep that ends before its time is no lag, and the heartbeat goes on; it holds the figures of the load."""
    row = SharedMetrics(1, LABELS).workers[0]
    load = WorkerLoad(cast("AuditLog", None), 10, 10, 100, in_flight=3)
    load.connections |= {cast("ServedConnection", name) for name in ("one", "other")}
    beats = 0

    async def too_short(_: float) -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", too_short)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(heartbeat.beat(row, load))
    assert beats == 3
    assert row.get("lag_us") == 0
    assert (row.get("connections"), row.get("in_flight")) == (2, 3)
    assert row.get("heartbeat") > 0
    assert row.get("resident_bytes") > 1_000_000
