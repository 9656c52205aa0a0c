"""Limits: what one client is, who passes, what is remembered, and what happens when nobody counts."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from messaging_api.core.ratelimit import (
    MAX_REMEMBERED_REJECTIONS,
    WINDOW_MS,
    CountRequest,
    OnCounted,
    RateLimitCheck,
    RateLimiter,
    RateLimits,
    WindowCounts,
    client_key,
)
from messaging_api.errors import LimitReached, StoreError, StoreUnavailable

ONE, OTHER = client_key("192.0.2.1"), client_key("192.0.2.2")


class Counted:
    """Counters of this process; `left` is ms until every window ends, `error` what they answer instead."""

    def __init__(self) -> None:
        self.left = WINDOW_MS
        self.error: StoreError | None = None
        self.requests: list[CountRequest] = []
        self._counts: Counter[tuple[bytes, str | None]] = Counter()

    def count(self, request: CountRequest, on_counted: OnCounted) -> None:
        self.requests.append(request)
        client, add, look = request
        self._counts[client, add] += 1
        counts = WindowCounts(self._counts[client, add], self.left, self._counts[client, look], self.left)
        asyncio.get_running_loop().call_soon(on_counted, self.error or counts, 0)


class Hand:
    """A clock in seconds, set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def passes(permit: RateLimitCheck) -> int | None:
    """What is left after it."""
    permit.start()
    await permit.wait()
    return permit.quota[1] if permit.quota else None


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:DB8:1:2:0::9"),
        ("fe80::1%eth0", "fe80::2"),
        ("", "testclient"),
    ],
)
def test_one_client(address: str, same: str) -> None:
    """An IPv4 address however written, a /64 of IPv6, and all that is no address."""
    assert client_key(address) == client_key(same)


def test_different_clients() -> None:
    """Other addresses and other networks are others, and no key is longer than the counters' places."""
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1", "::c000:201", "::", "0.0.0.0", ""]  # noqa: S104
    keys = [client_key(address) for address in addresses]
    assert len(set(keys)) == len(addresses) - 1  # ::c000:201 and :: are in one /64
    assert max(map(len, keys)) == 9


def test_exactly_as_many_as_allowed_pass() -> None:
    """N pass with what is left going down to 0, the next is told when to come back; another client goes on."""

    async def work() -> None:
        limiter = RateLimiter(RateLimits(create=3), Counted())
        assert [await passes(limiter.create(ONE)) for _ in range(3)] == [2, 1, 0]
        with pytest.raises(LimitReached) as caught:
            await passes(limiter.create(ONE))
        assert (caught.value.kind, caught.value.seconds) == ("create", 60)
        assert await passes(limiter.create(OTHER)) == 2

    run(work())


def test_a_refusal_is_remembered_until_it_is_over() -> None:
    """Further requests are refused without asking the counters, with ever less to wait; then they are asked again."""

    async def work() -> None:
        clock, counted = Hand(), Counted()
        limiter = RateLimiter(RateLimits(create=1, read=5), counted, clock=clock)
        await passes(limiter.create(ONE))
        counted.left = 10_500
        with pytest.raises(LimitReached):
            await passes(limiter.create(ONE))
        before = len(counted.requests)
        for now, seconds in ((0.0, 11), (1.0, 10), (10.4, 1)):
            clock.now = now
            with pytest.raises(LimitReached) as caught:
                limiter.create(ONE).start()
            assert caught.value.seconds == seconds
        assert len(counted.requests) == before
        assert await passes(limiter.read(ONE)) == 4
        clock.now = 10.5
        limiter.create(ONE).start()
        assert len(counted.requests) == before + 2

    run(work())


def test_misses_shut_out() -> None:
    """With N misses had, nothing more is looked up; the one in flight that finds nothing more is not told so."""

    async def work() -> None:
        limiter = RateLimiter(RateLimits(read=100, miss=2), Counted())
        early = [limiter.read(ONE) for _ in range(4)]
        for permit in early:
            await passes(permit)
        await early[0].record_miss()
        assert early[0].quota == ("miss", 1, 60)
        await early[1].record_miss()
        elsewhere = RateLimiter(RateLimits(read=100, miss=2), early[0]._limiter._counters)
        with pytest.raises(LimitReached):
            await passes(elsewhere.read(ONE))
        with pytest.raises(LimitReached):
            await early[2].record_miss()
        assert early[2].quota == ("miss", 0, 60)
        with pytest.raises(LimitReached) as caught:
            limiter.read(ONE).start()
        assert caught.value.kind == "miss"
        with pytest.raises(LimitReached):
            await early[3].record_miss()

    run(work())


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (RateLimits(), []),
        (RateLimits(create=9), [(ONE, "create", None)]),
        (RateLimits(read=9), [(ONE, "read", None)]),
        (RateLimits(miss=9), [(ONE, None, "miss"), (ONE, "miss", None)]),
        (RateLimits(read=9, miss=9), [(ONE, "read", "miss"), (ONE, "miss", None)]),
    ],
)
def test_what_is_off_is_not_asked_for(limits: RateLimits, expected: list[CountRequest]) -> None:
    """0 is no limit, and costs nothing."""

    async def work() -> None:
        counted = Counted()
        limiter = RateLimiter(limits, counted)
        await passes(limiter.create(ONE))
        permit = limiter.read(ONE)
        await passes(permit)
        await permit.record_miss()
        assert counted.requests == expected

    run(work())


def test_counts_out_of_reach_let_pass() -> None:
    """Without an answer of the counters a request goes on, and whoever watches hears of it each time."""

    async def work() -> None:
        counted, heard = Counted(), []
        counted.error = StoreUnavailable("away")
        limiter = RateLimiter(RateLimits(create=1, read=1, miss=1), counted, heard.append)
        for _ in range(3):
            assert await passes(limiter.create(ONE)) is None
            permit = limiter.read(ONE)
            assert await passes(permit) is None
            await permit.record_miss()
        assert heard == [counted.error] * 9

    run(work())


def test_memory_of_refusals_is_bounded() -> None:
    """However many are refused, a process remembers so many of them."""

    async def work() -> None:
        counted = Counted()
        limiter = RateLimiter(RateLimits(create=1), counted)
        for n in range(MAX_REMEMBERED_REJECTIONS + 50):
            client = n.to_bytes(4, "big")
            await passes(limiter.create(client))
            with pytest.raises(LimitReached):
                await passes(limiter.create(client))
        assert len(limiter._rejected["create"]) == MAX_REMEMBERED_REJECTIONS

    run(work())


def test_whoever_went_away_is_told_nothing() -> None:
    """A request that was given up while it waited for its permit disturbs nobody when the answer comes."""

    async def work() -> None:
        permit = RateLimiter(RateLimits(read=1), Counted()).read(ONE)
        permit.start()
        waiting = asyncio.create_task(permit.wait())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0)
        assert waiting.cancelled()
        assert permit.quota is None

    run(work())
