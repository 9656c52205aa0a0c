"""Background tasks: one that ends by itself is reported to the owner of the process, one that is stopped is not."""

import asyncio
import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

from messaging_api.core.background import OnFailure, start_endless_task, start_task
from messaging_api.core.pending import Pending
from messaging_api.runtime.failure import watch_threads
from messaging_api.stores.batching import StoreHooks
from messaging_api.stores.redis import sentinel
from messaging_api.stores.redis.node import Node
from messaging_api.stores.redis.replication import ReplicatedChannel
from messaging_api.stores.redis.topology import ClusterTopology
from messaging_api.stores.redis.url import Endpoint, RedisUrl

Failures = list[tuple[str, BaseException | None]]


def recorder(failures: Failures) -> OnFailure:
    """Return a handler that keeps what it is called with."""
    return lambda name, error: failures.append((name, error))


async def fails() -> NoReturn:
    """End with an error."""
    raise KeyError("secret")


async def waits_for(pending: Pending[None]) -> NoReturn:
    """Wait for a result again and again."""
    while True:
        await pending


async def ended(task: "asyncio.Task[None]") -> None:
    """Wait for the end of a task and for its callbacks."""
    await asyncio.wait([task])
    await asyncio.sleep(0)


@pytest.mark.parametrize("start", [start_task, start_endless_task])
def test_exception_is_reported(start: Callable[..., "asyncio.Task[None]"]) -> None:
    """The handler gets the name of the task and its exception."""
    failures: Failures = []

    async def main() -> None:
        await ended(start("work", fails(), recorder(failures)))

    asyncio.run(main())
    ((name, error),) = failures
    assert (name, type(error)) == ("work", KeyError)


@pytest.mark.parametrize(("start", "expected"), [(start_task, []), (start_endless_task, [("work", None)])])
def test_return_is_reported_of_an_endless_task_only(
    start: Callable[..., "asyncio.Task[None]"], expected: Failures
) -> None:
    """A task with an end of its own may return."""
    failures: Failures = []

    async def main() -> None:
        await ended(start("work", asyncio.sleep(0), recorder(failures)))

    asyncio.run(main())
    assert failures == expected


def test_stopped_task_is_not_reported() -> None:
    """Its owner cancels it, or the loop does when it ends."""
    failures: Failures = []

    async def main() -> None:
        task = start_endless_task("stopped", waits_for(Pending()), recorder(failures))
        start_endless_task("left", waits_for(Pending()), recorder(failures))
        await asyncio.sleep(0)
        task.cancel()
        await ended(task)

    asyncio.run(main())
    assert failures == []


def test_foreign_cancellation_is_reported() -> None:
    """A task that ends as cancelled, though nobody cancelled it, has ended by itself."""
    failures: Failures = []

    async def main() -> None:
        pending: Pending[None] = Pending()
        task = start_endless_task("work", waits_for(pending), recorder(failures))
        await asyncio.sleep(0)
        pending.resolve(asyncio.CancelledError())
        await ended(task)

    asyncio.run(main())
    ((name, error),) = failures
    assert (name, type(error)) == ("work", asyncio.CancelledError)


async def no_connection(_: object) -> NoReturn:
    """Fail as no server can make a connection fail."""
    raise KeyError("secret")


def no_shard(_: object) -> NoReturn:
    """Fail, in the same way."""
    raise KeyError("secret")


def test_task_of_a_store_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnecting, replicating, watching sentinels and refreshing the slots of a cluster: each has a handler."""
    failures: Failures = []
    hooks = StoreHooks(on_failure=recorder(failures))

    async def fail(*_: object) -> NoReturn:
        raise KeyError("secret")

    async def main() -> None:
        Node(no_connection, 1.0, hooks).submit(("PING",))
        topology = ClusterTopology([Endpoint("x", 1)], 1.0, no_shard, hooks.on_failure)
        topology.refresh()
        channel = ReplicatedChannel(Node(no_connection, 1.0), 1, 1.0, hooks.on_failure)
        monkeypatch.setattr(channel, "_confirm", fail)
        channel.submit(("PING",))
        monkeypatch.setattr(sentinel, "_CHECK_INTERVAL", 0.0)
        monkeypatch.setattr(sentinel, "find_master", fail)
        store = sentinel.SentinelStore(RedisUrl.parse("redis+sentinel://x:1/name"), lambda: 0, 1.0, hooks, 0)
        monkeypatch.setattr(store, "_master", Endpoint("x", 1))
        async with asyncio.timeout(10):
            while len(failures) < 4:
                await asyncio.sleep(0)

    asyncio.run(main())
    names = {"reconnection", "cluster refresh", "replication", "sentinel watch"}
    assert {(name, type(error)) for name, error in failures} == {(name, KeyError) for name in names}


def test_thread_that_ends_with_an_exception_is_reported() -> None:
    """The handler is called in the thread of the loop, for any thread of the process."""
    failures: list[tuple[str, BaseException | None, int]] = []

    def fail() -> None:
        raise KeyError("secret")

    async def main() -> None:
        reported = asyncio.Event()

        def on_failure(name: str, error: BaseException | None) -> None:
            failures.append((name, error, threading.get_ident()))
            reported.set()

        watch_threads(on_failure)
        threading.Thread(target=fail, name="writer").start()
        async with asyncio.timeout(10):
            await reported.wait()

    before = threading.excepthook
    try:
        asyncio.run(main())
    finally:
        threading.excepthook = before
    ((name, error, thread),) = failures
    assert (name, type(error), thread) == ("writer", KeyError, threading.get_ident())
