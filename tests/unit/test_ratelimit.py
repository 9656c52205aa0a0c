"""Rate limits: client keys, rejections and their memory, and counters that fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from messaging_api.core.ratelimit import (
    MAX_REMEMBERED_REJECTIONS,
    CountRequest,
    RateLimitCheck,
    RateLimiter,
    RateLimits,
    client_key,
)
from messaging_api.errors import LimitReached, MessageNotFound, NotExecuted, StoreError
from tests.support.requests import FakeCounters

ONE, OTHER = client_key("192.0.2.1"), client_key("192.0.2.2")


class ManualClock:
    """A clock in seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def remaining_after(check: RateLimitCheck) -> int | None:
    """Count a request and return how many are left."""
    check.start()
    await check
    return check.quota[1] if check.quota else None


async def miss_after(check: RateLimitCheck, event: asyncio.Event) -> None:
    """Count a request that finds nothing, once `event` is set. Raises MessageNotFound, LimitReached."""
    check.start()
    await check
    await event.wait()
    await check.record_miss()
    raise MessageNotFound


async def miss(check: RateLimitCheck) -> None:
    """Count a request that finds nothing. Raises MessageNotFound, LimitReached."""
    check.start()
    await check.record_miss()
    raise MessageNotFound


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
def test_client_key_is_the_same_for_one_client(address: str, same: str) -> None:
    """All spellings of an IPv4 address, a /64 of IPv6, and all texts that are no address, are one client each."""
    assert client_key(address) == client_key(same)


def test_client_key_differs_for_other_clients() -> None:
    """Other addresses and networks have other keys, and no key has more than 9 bytes."""
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1", "::c000:201", "::", "0.0.0.0", ""]  # noqa: S104
    keys = [client_key(address) for address in addresses]
    assert len(set(keys)) == len(addresses) - 1  # ::c000:201 and :: are in one /64
    assert max(map(len, keys)) == 9


def test_limit_admits_exactly_n_requests() -> None:
    """N requests pass and the next is rejected with the time to wait; another client is not affected."""

    async def work() -> None:
        limiter = RateLimiter(RateLimits(create=3), FakeCounters())
        assert [await remaining_after(limiter.create(ONE)) for _ in range(3)] == [2, 1, 0]
        with pytest.raises(LimitReached) as caught:
            await remaining_after(limiter.create(ONE))
        assert (caught.value.kind, caught.value.seconds) == ("create", 60)
        assert await remaining_after(limiter.create(OTHER)) == 2

    run(work())


def test_rejection_is_remembered_until_its_window_ends() -> None:
    """Until its window ends a rejected client is rejected without a count, with less and less time to wait."""

    async def work() -> None:
        clock, counters = ManualClock(), FakeCounters()
        limiter = RateLimiter(RateLimits(create=1, read=5), counters, clock=clock)
        await remaining_after(limiter.create(ONE))
        counters.left = 10_500
        with pytest.raises(LimitReached):
            await remaining_after(limiter.create(ONE))
        before = len(counters.requests)
        for now, seconds in ((0.0, 11), (1.0, 10), (10.4, 1)):
            clock.now = now
            with pytest.raises(LimitReached) as caught:
                limiter.create(ONE).start()
            assert caught.value.seconds == seconds
        assert len(counters.requests) == before
        assert await remaining_after(limiter.lookup(ONE)) == 4
        clock.now = 10.5
        limiter.create(ONE).start()
        assert len(counters.requests) == before + 2

    run(work())


def test_misses_block_look_ups() -> None:
    """After N misses look-ups are rejected, and so is a look-up in flight that finds nothing."""

    async def work() -> None:
        counters = FakeCounters()
        limiter = RateLimiter(RateLimits(read=100, miss=2), counters)
        checks = [limiter.lookup(ONE) for _ in range(4)]
        in_flight = asyncio.Event()
        looking = [asyncio.create_task(miss_after(check, in_flight)) for check in checks]
        while not all(check.quota for check in checks):
            await asyncio.sleep(0)
        assert [check.quota for check in checks] == [("read", remaining, 60) for remaining in (99, 98, 97, 96)]
        in_flight.set()
        outcomes = await asyncio.gather(*looking, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [MessageNotFound] * 2 + [LimitReached] * 2
        assert [check.quota for check in checks] == [("miss", remaining, 60) for remaining in (1, 0, 0, 0)]
        other_process = RateLimiter(RateLimits(read=100, miss=2), counters)
        with pytest.raises(LimitReached):
            await remaining_after(other_process.lookup(ONE))
        with pytest.raises(LimitReached) as caught:
            limiter.lookup(ONE).start()
        assert caught.value.kind == "miss"

    run(work())


async def resolved(check: RateLimitCheck) -> RateLimitCheck:
    """Start a check and return it once its counts are there; nobody has compared them with the limits."""
    check.start()
    while check.wanted:
        await asyncio.sleep(0)
    return check


def test_misses_that_are_not_counted_yet_block_look_ups() -> None:
    """In a burst, misses on their way to the counters count for the look-ups whose counts came before."""

    async def work() -> None:
        limiter = RateLimiter(RateLimits(read=100, miss=2), FakeCounters())
        burst = [await resolved(limiter.lookup(ONE)) for _ in range(4)]
        other = await resolved(limiter.lookup(OTHER))
        misses = [asyncio.create_task(check.record_miss()) for check in burst[:2]]
        await asyncio.sleep(0)
        for check in burst[2:]:
            with pytest.raises(LimitReached) as caught:
                await check
            assert (caught.value.kind, check.quota) == ("miss", ("miss", 0, 60))
        await other
        await asyncio.gather(*misses)

    run(work())


def test_abandoned_misses_block_nothing() -> None:
    """A miss whose client disconnects while it is counted is left to the counters."""

    async def work() -> None:
        counters = FakeCounters()
        limiter = RateLimiter(RateLimits(read=100, miss=1), counters)
        first, second = [await resolved(limiter.lookup(ONE)) for _ in range(2)]
        miss = asyncio.create_task(first.record_miss())
        await asyncio.sleep(0)
        miss.cancel()
        await asyncio.gather(miss, return_exceptions=True)
        await second

    run(work())


def test_last_miss_blocks_look_ups_that_are_under_way() -> None:
    """Once the last miss is counted, a look-up whose counts came before, and whose look is slow, is rejected too."""

    async def work() -> None:
        counters = FakeCounters()
        limiter = RateLimiter(RateLimits(read=100, miss=1), counters)
        slow = await resolved(limiter.lookup(ONE))
        with pytest.raises(MessageNotFound):
            await miss(limiter.lookup(ONE))
        before = len(counters.requests)
        with pytest.raises(LimitReached):
            await slow
        with pytest.raises(LimitReached):
            limiter.lookup(ONE).start()
        assert len(counters.requests) == before

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
def test_unlimited_kinds_are_not_counted(limits: RateLimits, expected: list[CountRequest]) -> None:
    """A limit of 0 is unlimited, and costs no count."""

    async def work() -> None:
        counters = FakeCounters()
        limiter = RateLimiter(limits, counters)
        await remaining_after(limiter.create(ONE))
        with pytest.raises(MessageNotFound):
            await miss(limiter.lookup(ONE))
        assert counters.requests == expected

    run(work())


def test_unreachable_counters_admit_requests() -> None:
    """Without counts every request passes, and `on_failure` is called each time."""

    async def work() -> None:
        counters = FakeCounters()
        errors: list[StoreError] = []
        counters.error = NotExecuted("away")
        limiter = RateLimiter(RateLimits(create=1, read=1, miss=1), counters, errors.append)
        for _ in range(3):
            assert await remaining_after(limiter.create(ONE)) is None
            check = limiter.lookup(ONE)
            with pytest.raises(MessageNotFound):
                await miss(check)
            assert check.quota is None
        assert errors == [counters.error] * 9

    run(work())


def test_remembered_rejections_are_limited() -> None:
    """A process remembers a limited number of rejected clients."""

    async def work() -> None:
        counters = FakeCounters()
        limiter = RateLimiter(RateLimits(create=1), counters)
        for n in range(MAX_REMEMBERED_REJECTIONS + 50):
            client = n.to_bytes(4, "big")
            await remaining_after(limiter.create(client))
            with pytest.raises(LimitReached):
                await remaining_after(limiter.create(client))
        assert len(limiter._rejected["create"]) == MAX_REMEMBERED_REJECTIONS

    run(work())


def test_cancelled_request_is_not_resolved() -> None:
    """A request that was cancelled while it waited for its check ignores the late counts."""

    async def work() -> None:
        check = RateLimiter(RateLimits(read=1), FakeCounters()).lookup(ONE)
        check.start()
        waiting = asyncio.ensure_future(check.as_future())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0)
        assert waiting.cancelled()
        assert check.quota is None

    run(work())
