"""The sign of life that each worker gives once a second."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from messaging_api.observability.metrics import SharedMetrics
from messaging_api.runtime import application as bootstrap


def test_early_wake_up_is_no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep that ends before its time is no lag, and the heart goes on."""
    row = SharedMetrics(1).workers[0]
    server: Any = SimpleNamespace(server_state=SimpleNamespace(connections=(), tasks=()))
    beats = 0

    async def too_short(_: float) -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(bootstrap.asyncio, "sleep", too_short)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(bootstrap._beat(row, server))
    assert beats == 3
    assert row.get("lag_us") == 0
