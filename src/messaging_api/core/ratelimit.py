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

    def count(self, request: CountRequest, on_counted: OnCounted) -> None:
        """Count at once, in the round trip of this turn of the loop; `on_counted` hears the counts, or the error."""


class RateLimits(NamedTuple):
    """Requests a minute for each kind, 0 for any number."""

    create: int = 0
    read: int = 0
    miss: int = 0


class RateLimiter:
    """Decides for one process. `clock` is monotonic, in seconds; `on_failure` hears of counts out of reach."""

    def __init__(
        self,
        limits: RateLimits,
        counters: Counters,
        on_failure: Callable[[StoreError], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._limit_of = limits._asdict()
        self._enabled: dict[Kind, Kind | None] = {kind: kind if self._limit_of[kind] else None for kind in KINDS}
        self._counters = counters
        self._on_failure = on_failure
        self._clock = clock
        self._rejected: dict[Kind, dict[bytes, float]] = {kind: {} for kind in KINDS}

    def create(self, client: bytes) -> "RateLimitCheck":
        """For one creation."""
        return RateLimitCheck(self, (client, self._enabled["create"], None))

    def read(self, client: bytes) -> "RateLimitCheck":
        """For one look-up."""
        return RateLimitCheck(self, (client, self._enabled["read"], self._enabled["miss"]))

    def miss(self, client: bytes) -> "RateLimitCheck":
        """For being told that nothing was found."""
        return RateLimitCheck(self, (client, self._enabled["miss"], None))

    def start(self, request: CountRequest, on_counted: OnCounted) -> bool:
        """Whether there is an answer to wait for. Raises LimitReached for what was rejected and is not over."""
        client, add, look = request
        if add is not None and self._rejected[add]:
            self._raise_if_rejected(client, add)
        if look is not None and self._rejected[look]:
            self._raise_if_rejected(client, look)
        if add is None and look is None:
            return False
        self._counters.count(request, on_counted)
        return True

    def check(self, request: CountRequest, counts: WindowCounts | StoreError, behind: int) -> "Quota | None":
        """What is left of what was asked for. Raises LimitReached; lets pass when the counters gave no answer."""
        if isinstance(counts, StoreError):
            self._on_failure(counts)
            return None
        client, add, look = request
        added, added_left, looked, looked_left = counts
        if look is not None and looked >= self._limit_of[look]:
            raise self._reject(client, look, looked_left)
        if add is None:
            return None
        remaining = self._limit_of[add] - added + behind
        if remaining < 0:
            raise self._reject(client, add, added_left)
        return add, remaining, _seconds(added_left)

    def _reject(self, client: bytes, kind: Kind, left: int) -> LimitReached:
        rejected = self._rejected[kind]
        rejected.pop(client, None)
        rejected[client] = self._clock() + left / 1000
        if len(rejected) > MAX_REMEMBERED_REJECTIONS:
            del rejected[next(iter(rejected))]
        return LimitReached(kind, self._limit_of[kind], _seconds(left))

    def _raise_if_rejected(self, client: bytes, kind: Kind) -> None:
        """Reject again until the window of the last rejection ends."""
        until = self._rejected[kind].get(client)
        if until is not None:
            left = int((until - self._clock()) * 1000)
            if left > 0:
                raise LimitReached(kind, self._limit_of[kind], _seconds(left))
            del self._rejected[kind][client]


Quota = tuple[Kind, int, int]
"""What a client has left: of this kind so many requests until its window ends in so many seconds."""


class Permit:
    """Leave to do one thing. This one is given to everybody. `quota` is None when it is not known."""

    __slots__ = ("quota",)

    def __init__(self) -> None:
        self.quota: Quota | None = None

    def start(self) -> None:
        """Ask for it, in the round trip of this turn of the loop. Raises LimitReached."""

    async def wait(self) -> None:
        """Wait for the answer. Nothing that cannot be undone is done before. Raises LimitReached."""

    async def record_miss(self) -> None:
        """Count that nothing was found. Raises LimitReached when that was one too many: exactly `miss` are told so."""


UNLIMITED = Permit()


class RateLimitCheck(Permit):
    """A permit that `limiter` gives."""

    __slots__ = ("_limiter", "_request", "_result", "_started", "_waiter")

    def __init__(self, limiter: RateLimiter, request: CountRequest) -> None:
        self.quota = None
        self._limiter = limiter
        self._request = request
        self._started = False
        self._result: tuple[WindowCounts | StoreError, int] | None = None
        self._waiter: Future[None] | None = None

    def start(self) -> None:
        try:
            self._started = self._limiter.start(self._request, self._on_counted)
        except LimitReached as error:
            self.quota = (error.kind, 0, error.seconds)
            raise

    async def wait(self) -> None:
        if not self._started:
            return
        if self._result is None:  # the work it was asked for beside was answered first
            self._waiter = get_running_loop().create_future()
            await self._waiter
        assert self._result is not None  # noqa: S101 the waiter is woken by it
        try:
            self.quota = self._limiter.check(self._request, *self._result)
        except LimitReached as error:
            self.quota = (error.kind, 0, error.seconds)
            raise

    async def record_miss(self) -> None:
        miss = self._limiter.miss(self._request[0])
        try:
            miss.start()
            await miss.wait()
        finally:
            self.quota = miss.quota or self.quota

    def _on_counted(self, counts: WindowCounts | StoreError, behind: int) -> None:
        self._result = (counts, behind)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _seconds(ms: int) -> int:
    """Whole seconds, rounded up: to come back after them is never too early."""
    return (ms + 999) // 1000
