"""The contract of the counters (`ratelimit.Counters`), verified for every store."""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest

from messaging_api.core.ratelimit import WINDOW_MS, CountRequest, PendingCount, WindowCounts
from messaging_api.core.store import Store
from messaging_api.errors import NotExecuted, StoreError
from messaging_api.stores.sqlite import shared_counters
from messaging_api.stores.sqlite.shared_counters import LOCK_TIMEOUT, PROBES, SharedCounters
from tests.support.redis_server import RedisServer, redis_running
from tests.support.stores import on_store

PROCESSES = 4
REQUESTS_PER_PROCESS = 500


def new_client() -> bytes:
    """Return the key of a client without counts."""
    return b"6" + os.urandom(8)


async def count(store: Store, request: CountRequest, times: int = 1) -> list[WindowCounts]:
    """Count equal requests in one turn and return the counts of each."""
    results = await asyncio.gather(*(count_once(store, request) for _ in range(times)))
    assert not [result for result in results if isinstance(result, StoreError)]
    return [result for result in results if isinstance(result, WindowCounts)]


async def count_once(store: Store, request: CountRequest) -> WindowCounts | StoreError:
    """Count one request and return its counts, or the error."""
    pending = PendingCount(request)
    store.count(pending)
    try:
        counts, behind = await pending
    except StoreError as error:
        return error
    return counts._replace(added=counts.added - behind) if request[1] else counts


def test_requests_of_one_turn_are_counted_one_by_one(store_url: str) -> None:
    """Each gets a count of its own, in the order of arrival; the window is that of the first."""

    async def work(store: Store) -> None:
        request: CountRequest = (new_client(), "read", None)
        results = await count(store, request, 100) + await count(store, request)
        assert [counts.added for counts in results] == list(range(1, 102))
        assert all(WINDOW_MS - 5000 < counts.added_left <= WINDOW_MS for counts in results)

    on_store(store_url, work)


def test_clients_and_kinds_are_counted_separately(store_url: str) -> None:
    """A request counts neither for another client nor for another kind."""

    async def work(store: Store) -> None:
        one, other = new_client(), new_client()
        await count(store, (one, "read", None), 5)
        assert (await count(store, (one, "miss", None)))[0].added == 1
        assert (await count(store, (one, "create", None)))[0].added == 1
        assert (await count(store, (other, "read", None)))[0].added == 1

    on_store(store_url, work)


def test_look_does_not_count(store_url: str) -> None:
    """A look returns a counter unchanged, by itself or beside one that is added to."""

    async def work(store: Store) -> None:
        one = new_client()
        assert await count(store, (one, None, "miss"), 2) == [WindowCounts(), WindowCounts()]
        await count(store, (one, "miss", None), 3)
        (looked,) = await count(store, (one, None, "miss"))
        assert (looked.added, looked.looked) == (0, 3)
        (both,) = await count(store, (one, "read", "miss"))
        assert (both.added, both.looked) == (1, 3)
        assert 0 < both.looked_left <= both.added_left == WINDOW_MS
        assert (await count(store, (one, "read", None)))[0].added == 2

    on_store(store_url, work)


def _count_in_process(
    url: str,
    counters: SharedCounters,
    request: CountRequest,
    barrier: "multiprocessing.synchronize.Barrier",
    queue: "SimpleQueue[list[int]]",
) -> None:
    numbers: list[int] = []

    async def work(store: Store) -> None:
        await store.ping()
        barrier.wait(30)
        for _ in range(REQUESTS_PER_PROCESS // 5):
            numbers.extend([counts.added for counts in await count(store, request, 5)])

    try:
        on_store(url, work, counters=counters)
    finally:
        queue.put(numbers)  # of a process that failed too, so that the test fails instead of waiting for it


def test_counts_are_exact_across_processes(store_url: str) -> None:
    """When processes count at the same time, no two get the same count and none is skipped."""
    context = multiprocessing.get_context("fork")  # as in the service: the counters of the embedded store are inherited
    barrier, queue = context.Barrier(PROCESSES), context.SimpleQueue()
    arguments = (store_url, SharedCounters(), (new_client(), "read", "miss"), barrier, queue)
    processes = [context.Process(target=_count_in_process, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    numbers = [number for _ in processes for number in queue.get()]
    for process in processes:
        process.join(60)
    assert sorted(numbers) == list(range(1, PROCESSES * REQUESTS_PER_PROCESS + 1))


class TestRedis:
    def test_every_key_expires(self, redis_server: RedisServer) -> None:
        """A counter expires from its first count on, later counts do not delay that, and then it starts again."""
        redis = redis_server.client()
        redis.flushall()

        async def work(store: Store) -> None:
            one = new_client()
            await count(store, (one, "read", "miss"), 3)
            await count(store, (one, "miss", None))
            keys = redis.keys()
            assert sorted(keys) == [
                b"messaging_api:limit:{%b}:%b" % (one.hex().encode(), k) for k in (b"miss", b"read")
            ]
            assert all(0 < redis.pttl(key) <= WINDOW_MS for key in keys)
            redis.pexpire(keys[0], 1000)
            redis.pexpire(keys[1], 1000)
            (counts,) = await count(store, (one, "read", "miss"))
            assert counts.added_left <= 1000
            assert counts.looked_left <= 1000
            for key in keys:
                redis.persist(key)  # which the service never does: the key gets an expiry again
            await count(store, (one, "read", "miss"))
            assert all(0 < redis.pttl(key) <= WINDOW_MS for key in keys)
            for key in keys:
                redis.pexpire(key, 0)
            assert await count(store, (one, "read", "miss")) == [WindowCounts(1, WINDOW_MS)]

        on_store(redis_server.url, work)

    def test_counts_are_not_persisted(self, tmp_path: Path) -> None:
        """A count writes nothing to the disk of a Redis with appendonly."""
        with redis_running(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:

            async def work(store: Store) -> None:
                before = size()
                await count(store, (new_client(), "read", "miss"), 3)
                await count(store, (new_client(), "create", None))
                assert size() == before
                server.client().set("control", "x")
                assert size() > before

            def size() -> int:
                return sum(path.stat().st_size for path in (tmp_path / "appendonlydir").glob("*.aof"))

            on_store(server.url, work)

    def test_full_redis_counts(self, tmp_path: Path) -> None:
        """Limits hold when Redis is too full for messages."""
        with redis_running(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:

            async def work(store: Store) -> None:
                assert await count(store, (new_client(), "read", None)) == [WindowCounts(1, WINDOW_MS)]

            on_store(server.url, work)

    def test_unreachable_redis_gives_an_error_in_time(self, tmp_path: Path) -> None:
        """The result is the error, in time; nothing is raised where no caller waits for it."""
        with redis_running(tmp_path) as server:
            server.kill()

            async def work(store: Store) -> None:
                begin = time.monotonic()
                assert isinstance(await count_once(store, (new_client(), "read", None)), NotExecuted)
                assert time.monotonic() - begin < 2

            on_store(server.url, work)


class ManualClock:
    """A clock in ms that a test sets."""

    now = 1_000_000

    def __call__(self) -> int:
        return self.now


class TestShared:
    def test_window_ends_one_minute_after_its_first_count(self) -> None:
        """Later counts do not extend a window; after it the count starts again."""
        clock = ManualClock()
        counters = SharedCounters(clock=clock)
        request: CountRequest = (new_client(), "read", "miss")
        assert counters.count([(request, 2)]) == [WindowCounts(2, WINDOW_MS)]
        counters.count([((request[0], "miss", None), 1)])
        clock.now += WINDOW_MS - 1
        assert counters.count([(request, 3)]) == [WindowCounts(5, 1, 1, 1)]
        clock.now += 1
        assert counters.count([(request, 1)]) == [WindowCounts(1, WINDOW_MS)]

    def test_full_table_reuses_the_slot_that_ends_first(self) -> None:
        """In a full table the client whose windows end first starts again; the other clients keep their counts."""
        clock = ManualClock()
        counters = SharedCounters(PROBES, clock)
        clients = [new_client() for _ in range(PROBES)]
        for one in clients:
            counters.count([((one, "read", None), 7)])
            clock.now += 1
        assert counters.count([((new_client(), "read", None), 1)]) == [WindowCounts(1, WINDOW_MS)]
        counts = [counters.count([((one, None, "read"), 1)])[0].looked for one in reversed(clients[1:])]
        assert counts == [7] * (PROBES - 1)

    def test_slots_of_ended_windows_are_reused(self) -> None:
        """A table that was full can hold as many clients again after their windows have ended."""
        clock = ManualClock()
        counters = SharedCounters(PROBES, clock)
        for _ in range(20):
            clients = [new_client() for _ in range(PROBES)]
            for one in clients:
                counters.count([((one, "create", None), 1)])
            assert [counters.count([((one, "create", None), 1)])[0].added for one in clients] == [2] * PROBES
            clock.now += WINDOW_MS

    def test_killed_process_releases_the_lock(self) -> None:
        """kill -9 of a process that holds the lock: the others go on counting."""
        counters = SharedCounters()
        request: CountRequest = (new_client(), "read", None)
        pid, release = holding(counters)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(release)
        assert counters.count([(request, 1)]) == [WindowCounts(1, WINDOW_MS)]

    def test_holder_that_continues_in_time_fails_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the holder of the lock is set aside, the others wait, as long as LOCK_TIMEOUT allows."""
        monkeypatch.setattr(shared_counters, "LOCK_TIMEOUT", 20.0)
        counters = SharedCounters()
        request: CountRequest = (new_client(), "read", None)
        pid, release = holding(counters)
        timer = threading.Timer(0.04, os.close, [release])
        timer.start()
        try:
            assert counters.count([(request, 1)]) == [WindowCounts(1, WINDOW_MS)]
        finally:
            timer.join()
            os.waitpid(pid, 0)

    def test_stopped_process_delays_others_briefly(self, tmp_path: Path) -> None:
        """The result is the error, soon; when the holder of the lock goes on, so does counting."""
        counters = SharedCounters()
        request: CountRequest = (new_client(), "read", None)
        pid, release = holding(counters)

        async def work(store: Store) -> None:
            begin = time.monotonic()
            assert isinstance(await count_once(store, request), NotExecuted)
            assert time.monotonic() - begin < LOCK_TIMEOUT * 4
            os.close(release)
            os.waitpid(pid, 0)
            assert await count(store, request) == [WindowCounts(1, WINDOW_MS)]

        on_store(f"sqlite://{tmp_path}/m.db", work, counters=counters)


def holding(counters: SharedCounters) -> tuple[int, int]:
    """Start a process that holds the lock; return its pid, and the descriptor to close so that it ends."""
    (waits, release), (holds, said) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        counters._lock()
        os.write(said, b"x")
        os.read(waits, 1)
        os._exit(0)
    assert os.read(holds, 1) == b"x"
    for end in (waits, holds, said):
        os.close(end)
    return pid, release
