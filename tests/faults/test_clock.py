"""Clocks that jump: no message is deleted before its time."""

from pathlib import Path

from messaging_api.core import record
from messaging_api.core.store import Store
from messaging_api.stores.sqlite.confirmed_clock import CONFIRM_MS, ConfirmedClock, boot_time_ms
from tests.support.stores import HOUR, Clock, message, on_store, receipt

SECOND = 1000


class Clocks:
    """A clock that can be set, and a steady one; time passes by `wait`."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000_000, 5_000_000
        self.confirmed = ConfirmedClock(lambda: self.wall, lambda: self.steady)

    def wait(self, ms: int) -> int:
        """Let time pass, and return how far the confirmed clock is behind the one that can be set, in ms."""
        self.wall += ms
        self.steady += ms
        return self.wall - self.confirmed()


def test_short_jump_is_never_believed() -> None:
    """A jump of two hours for 2.5 s changes nothing, also not afterwards."""
    clocks = Clocks()
    assert clocks.wait(SECOND) == 0
    clocks.wall += 2 * HOUR
    assert [clocks.wait(SECOND) for _ in range(2)] == [2 * HOUR] * 2
    clocks.wall -= 2 * HOUR
    assert clocks.wait(500) == 0
    assert clocks.wait(CONFIRM_MS) == 0


def test_lasting_correction_is_believed_after_a_while() -> None:
    """A clock that was wrong at the start is followed once its correction has lasted."""
    clocks = Clocks()
    clocks.wall += 24 * HOUR
    behind = [clocks.wait(SECOND) for _ in range(CONFIRM_MS // SECOND + 1)]
    assert set(behind[:-1]) == {24 * HOUR}
    assert behind[-1] == 0


def test_jump_back_is_followed_at_once() -> None:
    """A clock that goes back deletes later, never earlier."""
    clocks = Clocks()
    clocks.wall -= HOUR
    assert clocks.wait(SECOND) == 0


def test_second_jump_waits_for_the_smaller_one() -> None:
    """Of two jumps, only what has lasted all the time is believed."""
    clocks = Clocks()
    clocks.wall += HOUR
    clocks.wait(SECOND)
    clocks.wall += HOUR
    clocks.wait(CONFIRM_MS)
    assert clocks.wait(0) == HOUR


def test_slow_drift_is_followed() -> None:
    """A clock that is slewed forward by 500 millionths is followed, within what it gains while it is confirmed."""
    clocks = Clocks()
    for _ in range(3 * CONFIRM_MS // 10_000):
        clocks.wall += 5
        assert clocks.wait(10_000) <= 2 * CONFIRM_MS * 5 // 10_000


def test_suspension_counts_as_time() -> None:
    """The steady clock of a store goes on while the machine is suspended: what expired then is removed at once."""
    with open("/proc/uptime") as uptime:  # noqa: PTH123 this file counts suspensions too
        assert abs(boot_time_ms() / 1000 - float(uptime.read().split()[0])) < 1


def test_process_that_starts_during_a_jump_deletes_nothing(tmp_path: Path) -> None:
    """A restarted process has the clock of its parent, which began before the jump."""
    clock, url = Clock(), f"sqlite://{tmp_path}/m.db"
    inherited = ConfirmedClock(clock, boot_time_ms)
    on_store(url, lambda store: store.create(message(), receipt()), inherited)
    clock.ahead = 2 * HOUR
    assert on_store(url, lambda store: store.sweep(), inherited) == 0  # type: ignore[attr-defined]


def test_jump_deletes_nothing(tmp_path: Path) -> None:
    """While the clock is two hours ahead, the sweeper deletes nothing; afterwards the message is there."""
    clock = Clock()

    async def work(store: Store) -> None:
        kept, expired = message(), message(ttl=1)
        await store.create(kept, receipt())
        clock.ahead = 2 * HOUR
        assert await store.sweep() == 0  # type: ignore[attr-defined]
        clock.ahead = 0
        await store.create(expired, receipt())
        while await store.look(expired.locator) is not None:
            await store.sweep()  # type: ignore[attr-defined]
        assert await store.look(kept.locator) == record.unpack(kept.value)

    on_store(f"sqlite://{tmp_path}/m.db", work, clock)
