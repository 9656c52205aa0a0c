"""What a receipt tells over the life of a message, on every store: the state moves forward only.

The clock of the service and the store is the test's own. Redis also expires keys by itself, in its own time; the tests
let that time pass by shortening the lifetimes of its keys.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging_api.core.message import RECEIPT_EXTRA_MS, Draft, MessageLimits
from messaging_api.core.service import CreatedMessage, FoundMessage, Service
from messaging_api.core.store import Store
from messaging_api.errors import MessageNotFound
from tests.support.redis_server import RedisServer
from tests.support.stores import Clock, on_store

TTL = 2
ACTIONS = ("find", "open", "burn", "status", "status", "sweep")
STEPS = (*ACTIONS, 1, 1000, 1001, RECEIPT_EXTRA_MS // 2, RECEIPT_EXTRA_MS - 1001)
"""What happens to a message and its receipt; a number lets so many ms pass."""


@dataclass
class TickingClock:
    """A clock in ms since the epoch that advances by `tick` each time it is read."""

    now: int = field(default_factory=Clock())
    tick: int = 0

    def __call__(self) -> int:
        self.now += self.tick
        return self.now


class Life:
    """The life of one message. `pass_time` lets so many ms pass in a store that has a time of its own."""

    def __init__(self, service: Service, store: Any, clock: TickingClock, pass_time: Callable[[int], None]) -> None:
        self.states: list[str] = []
        self.spent: list[int] = []
        """For each state that tells it: the reads that were spent, without those that were delivered."""
        self._delivered = 0
        self._service = service
        self._store = store
        self._clock = clock
        self._pass_time = pass_time
        self._store_time = clock.now
        self._found: list[FoundMessage] = []

    async def take_step(self, step: str | int, created: CreatedMessage, ahead: int) -> None:
        """Take one of STEPS. The store's own time is `ahead` of the service's by so many ms."""
        if isinstance(step, int):
            self._clock.now += step
        elif step == "find":
            self._found.append(await self._service.find(created.message_id))
        elif step == "open" and self._found:
            await self._service.open(self._found.pop(), confirmed=True)
            self._delivered += 1
        elif step == "burn":
            receipt = await self._service.find_receipt(created.receipt_id)
            self.note((await self._service.burn(receipt))[0])
        elif step == "status":
            receipt = await self._service.find_receipt(created.receipt_id)
            self.note(await self._service.status(receipt))
        elif step == "sweep":
            elapsed = self._clock.now + ahead - self._store_time
            self._store_time += max(0, elapsed)
            self._pass_time(max(0, elapsed))
            if hasattr(self._store, "sweep"):
                await self._store.sweep()

    def note(self, status: Any) -> None:
        """Remember what a receipt told."""
        self.states.append(status.state)
        if status.reads_left is not None:
            self.spent.append(status.reads - status.reads_left - self._delivered)


def moves_forward(states: list[str]) -> bool:
    """Tell whether these states are `available` so many times, then another one to the end."""
    ended = [state for state in states if state != "available"]
    return len(set(ended)) <= 1 and states[len(states) - len(ended) :] == ended


@pytest.fixture
def pass_time(request: pytest.FixtureRequest, store_url: str) -> Callable[[int], None]:
    """A function that lets so many ms pass in a store that has a time of its own."""
    if not store_url.startswith("redis"):
        return lambda _: None
    server: RedisServer = request.getfixturevalue("redis_server")

    def shorten_lifetimes(ms: int) -> None:
        client = server.client()
        for key in client.scan_iter(match=b"messaging_api:*"):
            client.pexpire(key, client.pttl(key) - ms)

    return shorten_lifetimes


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has a message of its own
)
@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=14),
    reads=st.sampled_from([None, 1, 2]),
    tick=st.sampled_from([0, 1, 400]),
    ahead=st.sampled_from([0, -1500, 1500]),
)
def test_state_of_a_receipt_moves_forward_only(  # noqa: PLR0913, PLR0917 what hypothesis chooses, and the store
    store_url: str, pass_time: Callable[[int], None], steps: list[str | int], reads: int | None, tick: int, ahead: int
) -> None:
    """`available` becomes `read`, `burned` or `expired` and stays so; each read that was counted was delivered."""
    clock = TickingClock()

    async def work(store: Store) -> Life:
        service = Service(store, MessageLimits(), clock)
        created = await service.post(Draft(b"x", ttl=TTL, reads=reads))
        life = Life(service, store, clock, pass_time)
        clock.tick = tick
        for step in steps:
            with contextlib.suppress(MessageNotFound):
                await life.take_step(step, created, ahead)
        return life

    life = on_store(store_url, work, clock, steady_clock=lambda: clock.now)
    assert moves_forward(life.states), life.states
    assert not any(life.spent), "a read was spent that nobody got"
