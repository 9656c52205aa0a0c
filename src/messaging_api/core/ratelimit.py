"""How often a client may ask, and what counts as one client.

A client may have `limit` requests of a kind within a window of 60 s that begins with the first of them; then none
until the window ends. Kinds: `create` (POST /), `read` (whatever looks up an id), `miss` (a look-up that found nothing:
guessing). The counts live where the messages live, so that all processes and nodes share them; `docs/adr/0006` says
why a window and not a leaking bucket, and what happens when the counts are out of reach.
"""

import time
from asyncio import Future, get_running_loop
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Literal, NamedTuple, Protocol, get_args

from messaging_api.errors import LimitReached, StoreError

Kind = Literal["create", "read", "miss"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WINDOW_MS = 60_000
MAX_REMEMBERED_REJECTIONS = 10_000
"""Refused clients that a process remembers; one that was forgotten is asked about again."""


@lru_cache(4096)
def client_key(address: str) -> bytes:
    """What is one client: an IPv4 address, or the /64 of an IPv6 address, which is what one customer gets.

    An IPv4 address written as IPv6 (RFC 4291, section 2.5.5.2) is that IPv4 address. At most 9 bytes; whatever is no
    address (a local socket has none) is one client together.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return b"-"
    if isinstance(ip, IPv6Address):
        return b"6" + ip.packed[:8] if ip.ipv4_mapped is None else b"4" + ip.ipv4_mapped.packed
    return b"4" + ip.packed


CountRequest = tuple[bytes, Kind | None, Kind | None]
"""A client, the kind to count one more request of, and the kind whose counter is only looked at; None for neither."""


class WindowCounts(NamedTuple):
    """How two counters stand: requests in this window (of the one added to, with those asked for), ms until it ends."""

    added: int = 0
    added_left: int = 0
    looked: int = 0
    looked_left: int = 0


OnCounted = Callable[[WindowCounts | StoreError, int], None]
"""Hears how it stands, and how many like asks were counted with this one after it."""


class Counters(Protocol):
    """Where the counts live. Shared by all who share the messages; exact whatever their number."""

    def count(self, ask: CountRequest, tell: OnCounted) -> None:
        """Count at once, in the round trip of this turn of the loop; `tell` hears the answer, or why there is none."""


class RateLimits(NamedTuple):
    """Requests a minute for each kind, 0 for any number."""

    create: int = 0
    read: int = 0
    miss: int = 0


class Limiter:
    """Decides for one process. `clock` is monotonic, in seconds; `on_failure` hears of counts out of reach."""

    def __init__(
        self,
        limits: RateLimits,
        counters: Counters,
        on_failure: Callable[[StoreError], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._most = limits._asdict()
        self._on: dict[Kind, Kind | None] = {kind: kind if self._most[kind] else None for kind in KINDS}
        self._counters = counters
        self._on_failure = on_failure
        self._clock = clock
        self._refused: dict[Kind, dict[bytes, float]] = {kind: {} for kind in KINDS}

    def create(self, client: bytes) -> "RateLimitCheck":
        """For one creation."""
        return RateLimitCheck(self, (client, self._on["create"], None))

    def read(self, client: bytes) -> "RateLimitCheck":
        """For one look-up."""
        return RateLimitCheck(self, (client, self._on["read"], self._on["miss"]))

    def miss(self, client: bytes) -> "RateLimitCheck":
        """For being told that nothing was found."""
        return RateLimitCheck(self, (client, self._on["miss"], None))

    def ask(self, ask: CountRequest, tell: OnCounted) -> bool:
        """Whether there is an answer to wait for. Raises LimitReached for what was refused and is not over."""
        client, add, look = ask
        if add is not None and self._refused[add]:
            self._recall(client, add)
        if look is not None and self._refused[look]:
            self._recall(client, look)
        if add is None and look is None:
            return False
        self._counters.count(ask, tell)
        return True

    def decide(self, ask: CountRequest, standing: WindowCounts | StoreError, behind: int) -> "Quota | None":
        """What is left of what was asked for. Raises LimitReached; lets pass when the counters gave no answer."""
        if isinstance(standing, StoreError):
            self._on_failure(standing)
            return None
        client, add, look = ask
        added, added_left, looked, looked_left = standing
        if look is not None and looked >= self._most[look]:
            raise self._refuse(client, look, looked_left)
        if add is None:
            return None
        remaining = self._most[add] - added + behind
        if remaining < 0:
            raise self._refuse(client, add, added_left)
        return add, remaining, _seconds(added_left)

    def _refuse(self, client: bytes, kind: Kind, left: int) -> LimitReached:
        refused = self._refused[kind]
        refused.pop(client, None)
        refused[client] = self._clock() + left / 1000
        if len(refused) > MAX_REMEMBERED_REJECTIONS:
            del refused[next(iter(refused))]
        return LimitReached(kind, self._most[kind], _seconds(left))

    def _recall(self, client: bytes, kind: Kind) -> None:
        """Refuse again, until what it was refused for is over."""
        until = self._refused[kind].get(client)
        if until is not None:
            left = int((until - self._clock()) * 1000)
            if left > 0:
                raise LimitReached(kind, self._most[kind], _seconds(left))
            del self._refused[kind][client]


Quota = tuple[Kind, int, int]
"""What a client has left: of this kind so many requests until its window ends in so many seconds."""


class Permit:
    """Leave to do one thing. This one is given to everybody. `quota` is None when it is not known."""

    __slots__ = ("quota",)

    def __init__(self) -> None:
        self.quota: Quota | None = None

    def ask(self) -> None:
        """Ask for it, in the round trip of this turn of the loop. Raises LimitReached."""

    async def granted(self) -> None:
        """Wait for the answer. Nothing that cannot be undone is done before. Raises LimitReached."""

    async def missed(self) -> None:
        """Count that nothing was found. Raises LimitReached when that was one too many: exactly `miss` are told so."""


UNLIMITED = Permit()


class RateLimitCheck(Permit):
    """A permit that `limiter` gives."""

    __slots__ = ("_answer", "_ask", "_asked", "_limiter", "_waiter")

    def __init__(self, limiter: Limiter, ask: CountRequest) -> None:
        self.quota = None
        self._limiter = limiter
        self._ask = ask
        self._asked = False
        self._answer: tuple[WindowCounts | StoreError, int] | None = None
        self._waiter: Future[None] | None = None

    def ask(self) -> None:
        try:
            self._asked = self._limiter.ask(self._ask, self._hear)
        except LimitReached as error:
            self.quota = (error.kind, 0, error.seconds)
            raise

    async def granted(self) -> None:
        if not self._asked:
            return
        if self._answer is None:  # the work it was asked for beside was answered first
            self._waiter = get_running_loop().create_future()
            await self._waiter
        assert self._answer is not None  # noqa: S101 the waiter is woken by it
        try:
            self.quota = self._limiter.decide(self._ask, *self._answer)
        except LimitReached as error:
            self.quota = (error.kind, 0, error.seconds)
            raise

    async def missed(self) -> None:
        miss = self._limiter.miss(self._ask[0])
        try:
            miss.ask()
            await miss.granted()
        finally:
            self.quota = miss.quota or self.quota

    def _hear(self, standing: WindowCounts | StoreError, behind: int) -> None:
        self._answer = (standing, behind)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _seconds(ms: int) -> int:
    """Whole seconds, rounded up: to come back after them is never too early."""
    return (ms + 999) // 1000
