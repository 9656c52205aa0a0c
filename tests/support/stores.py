"""Parts for tests of stores: a clock, entries, and a runner of coroutines over an open store."""

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from messaging_api.core import record
from messaging_api.core.message import RECEIPT_EXTRA_MS
from messaging_api.core.store import Entry, Store
from messaging_api.stores import StoreOptions, open_store
from messaging_api.stores.batching import NO_HOOKS, StoreHooks
from messaging_api.stores.sqlite.confirmed_clock import boot_time_ms
from messaging_api.stores.sqlite.shared_counters import SharedCounters

Result = TypeVar("Result")
HOUR = 3_600_000


class Clock:
    """A clock in ms since the epoch: the real time plus `ahead`."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead


def on_store(
    url: str,
    work: Callable[[Store], Awaitable[Result]],
    clock: Callable[[], int] | None = None,
    **options: Any,
) -> Result:
    """Open the store at `url`, run `work` on it, and return its result. See `opened` for `options`."""

    async def run() -> Result:
        async with opened(url, clock, **options) as store:
            return await work(store)

    return asyncio.run(run())


@asynccontextmanager
async def opened(
    url: str,
    clock: Callable[[], int] | None = None,
    counters: SharedCounters | None = None,
    hooks: StoreHooks = NO_HOOKS,
    steady_clock: Callable[[], int] = boot_time_ms,
) -> AsyncIterator[Store]:
    """Open the store at `url` for a block; the number after a # is the replicas to wait for."""
    address, _, replicas = url.partition("#")
    options = StoreOptions(replicas=int(replicas or 0), steady_clock=steady_clock)
    store = open_store(address, clock or Clock(), options, hooks, counters)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def writer_blocked(store: Any) -> AsyncIterator[Awaitable[None]]:
    """Block the thread that writes to a SQLite store for a block of code; yield the operation that blocks it."""
    begun, release = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        begun.set()
        release.wait(10)

    blocking = store._writes.submit(wait)
    await asyncio.to_thread(begun.wait, 10)
    try:
        yield blocking
    finally:
        release.set()


_serial = itertools.count()


def locator() -> bytes:
    """Return a locator without a record, with bytes that need care in text protocols."""
    return os.urandom(6) + b"\r\n\x00*$" + next(_serial).to_bytes(5, "big")


def message(box: bytes = b"box", reads: int | None = None, ttl: int = HOUR) -> Entry:
    """Return a message as the service would store it."""
    return Entry(locator(), record.pack(reads, time.time_ns() // 1_000_000 + ttl, box), ttl)


def taken(entry: Entry) -> record.StoredMessage:
    """Return what a take of an untouched message returns."""
    return record.unpack(record.tombstone(entry.value))


def receipt(value: bytes = b"ticket", ttl: int = HOUR) -> Entry:
    """Return a receipt, or an idempotency record."""
    return Entry(locator(), value, ttl + RECEIPT_EXTRA_MS)
