"""What the counters of every store promise (`ratelimit.Counters`), proven of each."""

import asyncio
import multiprocessing
import os
import signal
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from messaging_api.core.ratelimit import WINDOW_MS, CountRequest, WindowCounts
from messaging_api.core.store import Store
from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.sqlite.shared_counters import LOCK_TIMEOUT, PROBES, SharedCounters
from tests.support.redis_server import RedisServer, redis_running
from tests.support.stores import on_store

PROCESSES = 4
ASKS = 500


def client() -> bytes:
    """Nobody was counted under it before."""
    return b"6" + os.urandom(8)


async def counted(store: Store, ask: CountRequest, times: int = 1) -> list[WindowCounts]:
    """The standings after so many like asks in one turn."""
    answers = await asyncio.gather(*(answer(store, ask) for _ in range(times)))
    assert not [answer for answer in answers if isinstance(answer, StoreError)]
    return [answer for answer in answers if isinstance(answer, WindowCounts)]


async def answer(store: Store, ask: CountRequest) -> WindowCounts | StoreError:
    """How it stands with this ask alone."""
    told: asyncio.Future[WindowCounts | StoreError] = asyncio.get_running_loop().create_future()

    def tell(standing: WindowCounts | StoreError, behind: int) -> None:
        told.set_result(
            standing._replace(added=standing.added - behind)
            if isinstance(standing, WindowCounts) and ask[1]
            else standing
        )

    store.count(ask, tell)
    return await told


def test_asks_of_one_turn_are_counted_one_by_one(store_url: str) -> None:
    """Each gets its own place in the count, in the order they came; the window is the first one's."""

    async def work(store: Store) -> None:
        ask = (client(), "read", None)
        standings = await counted(store, ask, 100) + await counted(store, ask)
        assert [standing.added for standing in standings] == list(range(1, 102))
        assert all(WINDOW_MS - 5000 < standing.added_left <= WINDOW_MS for standing in standings)

    on_store(store_url, work)


def test_clients_and_kinds_are_apart(store_url: str) -> None:
    """What one asks for does not count for another, nor as another kind."""

    async def work(store: Store) -> None:
        one, other = client(), client()
        await counted(store, (one, "read", None), 5)
        assert (await counted(store, (one, "miss", None)))[0].added == 1
        assert (await counted(store, (one, "create", None)))[0].added == 1
        assert (await counted(store, (other, "read", None)))[0].added == 1

    on_store(store_url, work)


def test_looking_counts_nothing(store_url: str) -> None:
    """A look tells how a counter stands, alone or beside one that is added to."""

    async def work(store: Store) -> None:
        one = client()
        assert await counted(store, (one, None, "miss"), 2) == [WindowCounts(), WindowCounts()]
        await counted(store, (one, "miss", None), 3)
        (looked,) = await counted(store, (one, None, "miss"))
        assert (looked.added, looked.looked) == (0, 3)
        (both,) = await counted(store, (one, "read", "miss"))
        assert (both.added, both.looked) == (1, 3)
        assert 0 < both.looked_left <= both.added_left == WINDOW_MS
        assert (await counted(store, (one, "read", None)))[0].added == 2

    on_store(store_url, work)


def _ask(
    url: str,
    counters: SharedCounters,
    ask: CountRequest,
    barrier: "multiprocessing.synchronize.Barrier",
    told: "SimpleQueue[list[int]]",
) -> None:
    async def work(store: Store) -> list[int]:
        await store.ping()
        barrier.wait(30)
        places = []
        for _ in range(ASKS // 5):
            places += [standing.added for standing in await counted(store, ask, 5)]
        return places

    told.put(on_store(url, work, counters=counters))


def test_exact_across_processes(store_url: str) -> None:
    """Of all that processes count at once, no two get the same place and none is left out."""
    context = multiprocessing.get_context("fork")  # as the service does: the embedded store's counters are inherited
    barrier, told = context.Barrier(PROCESSES), context.SimpleQueue()
    arguments = (store_url, SharedCounters(), (client(), "read", "miss"), barrier, told)
    processes = [context.Process(target=_ask, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    places = [place for _ in processes for place in told.get()]
    for process in processes:
        process.join(60)
    assert sorted(places) == list(range(1, PROCESSES * ASKS + 1))


class TestRedis:
    def test_no_key_lives_for_ever(self, redis_server: RedisServer) -> None:
        """Every counter has an end from its first count on, which later counts do not move; then it begins anew."""
        redis = redis_server.client()
        redis.flushall()

        async def work(store: Store) -> None:
            one = client()
            await counted(store, (one, "read", "miss"), 3)
            await counted(store, (one, "miss", None))
            keys = redis.keys()
            assert sorted(keys) == [
                b"messaging_api:limit:{%b}:%b" % (one.hex().encode(), k) for k in (b"miss", b"read")
            ]
            assert all(0 < redis.pttl(key) <= WINDOW_MS for key in keys)
            redis.pexpire(keys[0], 1000)
            redis.pexpire(keys[1], 1000)
            (standing,) = await counted(store, (one, "read", "miss"))
            assert standing.added_left <= 1000
            assert standing.looked_left <= 1000
            for key in keys:
                redis.persist(key)  # as nothing of ours ever does: an end is given again
            await counted(store, (one, "read", "miss"))
            assert all(0 < redis.pttl(key) <= WINDOW_MS for key in keys)
            for key in keys:
                redis.pexpire(key, 0)
            assert await counted(store, (one, "read", "miss")) == [WindowCounts(1, WINDOW_MS)]

        on_store(redis_server.url, work)

    def test_counts_are_not_written_down(self, tmp_path: Path) -> None:
        """A read costs no write on the disk of a Redis that writes every command down first."""
        with redis_running(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:

            async def work(store: Store) -> None:
                before = size()
                await counted(store, (client(), "read", "miss"), 3)
                await counted(store, (client(), "create", None))
                assert size() == before
                server.client().set("control", "x")
                assert size() > before

            def size() -> int:
                return sum(path.stat().st_size for path in (tmp_path / "appendonlydir").glob("*.aof"))

            on_store(server.url, work)

    def test_a_full_redis_counts(self, tmp_path: Path) -> None:
        """Limits hold when there is no room for messages."""
        with redis_running(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:

            async def work(store: Store) -> None:
                assert await counted(store, (client(), "read", None)) == [WindowCounts(1, WINDOW_MS)]

            on_store(server.url, work)

    def test_out_of_reach(self, tmp_path: Path) -> None:
        """The answer is the error, in time, and nothing is raised at those who do not wait for it."""
        with redis_running(tmp_path) as server:
            server.kill()

            async def work(store: Store) -> None:
                begin = time.monotonic()
                assert isinstance(await answer(store, (client(), "read", None)), StoreUnavailable)
                assert time.monotonic() - begin < 2

            on_store(server.url, work)


class Hand:
    """A clock in milliseconds, set by hand."""

    now = 1_000_000

    def __call__(self) -> int:
        return self.now


class TestShared:
    def test_a_window_ends(self) -> None:
        """It ends a minute after its first count, whatever came later, and the count begins anew."""
        clock = Hand()
        counters, ask = SharedCounters(clock=clock), (client(), "read", "miss")
        assert counters.count([(ask, 2)]) == [WindowCounts(2, WINDOW_MS)]
        counters.count([((ask[0], "miss", None), 1)])
        clock.now += WINDOW_MS - 1
        assert counters.count([(ask, 3)]) == [WindowCounts(5, 1, 1, 1)]
        clock.now += 1
        assert counters.count([(ask, 1)]) == [WindowCounts(1, WINDOW_MS)]

    def test_a_full_table_gives_way(self) -> None:
        """Of a table that has no room the client whose windows end first begins anew, and the others keep theirs."""
        clock = Hand()
        counters = SharedCounters(PROBES, clock)
        clients = [client() for _ in range(PROBES)]
        for one in clients:
            counters.count([((one, "read", None), 7)])
            clock.now += 1
        assert counters.count([((client(), "read", None), 1)]) == [WindowCounts(1, WINDOW_MS)]
        counts = [counters.count([((one, None, "read"), 1)])[0].looked for one in reversed(clients[1:])]
        assert counts == [7] * (PROBES - 1)

    def test_places_of_windows_that_are_over_are_used_again(self) -> None:
        """A table that was full an hour ago has room for as many."""
        clock = Hand()
        counters = SharedCounters(PROBES, clock)
        for _ in range(20):
            clients = [client() for _ in range(PROBES)]
            for one in clients:
                counters.count([((one, "create", None), 1)])
            assert [counters.count([((one, "create", None), 1)])[0].added for one in clients] == [2] * PROBES
            clock.now += WINDOW_MS

    def test_a_process_that_dies_lets_go(self) -> None:
        """kill -9 of a process that holds the counters: the others go on counting."""
        counters, ask = SharedCounters(), (client(), "read", None)
        pid, release = holding(counters)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(release)
        assert counters.count([(ask, 1)]) == [WindowCounts(1, WINDOW_MS)]

    def test_a_process_that_stands_still_holds_nobody_up(self, tmp_path: Path) -> None:
        """The answer is the error, soon; when the holder goes on, counting does too."""
        counters, ask = SharedCounters(), (client(), "read", None)
        pid, release = holding(counters)

        async def work(store: Store) -> None:
            begin = time.monotonic()
            assert isinstance(await answer(store, ask), StoreUnavailable)
            assert time.monotonic() - begin < LOCK_TIMEOUT * 20
            os.close(release)
            os.waitpid(pid, 0)
            assert await counted(store, ask) == [WindowCounts(1, WINDOW_MS)]

        on_store(f"sqlite://{tmp_path}/m.db", work, counters=counters)


def holding(counters: SharedCounters) -> tuple[int, int]:
    """A process that holds the lock, and what to close so that it lets go and ends."""
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
