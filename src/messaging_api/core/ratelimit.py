"""Rate limits per client, and the definition of one client.

A client may send `limit` requests of a kind within a window of 60 s that begins with the first of them, then none until
the window ends. The kinds are `create` (POST /), `read` (any look-up of an id) and `miss` (a look-up that found
nothing, which may be guessing). The counts are kept in the store of the messages, so that all processes and nodes share
them.
`docs/adr/0006` explains why this is a fixed window and not a leaky bucket, and what happens without the counts.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Literal, NamedTuple, Protocol, get_args

from messaging_api.core.pending import UNRESOLVED, Pending
from messaging_api.errors import LimitReached, StoreError

Kind = Literal["create", "read", "miss"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WINDOW_MS = 60_000
MAX_REMEMBERED_REJECTIONS = 10_000
"""Maximum number of rejected clients that a process remembers, per kind; for others the counters are queried."""


@lru_cache(4096)
def client_key(address: str) -> bytes:
    """Return the key of a client, at most 9 bytes: its IPv4 address, or the /64 of its IPv6 address.

    A /64 is what one customer gets. An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) counts as the IPv4 address.
    All texts that are no address share one key: a local socket has no address.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return b"-"
    if isinstance(ip, IPv6Address):
        return b"6" + ip.packed[:8] if ip.ipv4_mapped is None else b"4" + ip.ipv4_mapped.packed
    return b"4" + ip.packed


CountRequest = tuple[bytes, Kind | None, Kind | None]
"""The key of a client, the kind to count one more request of, and the kind to look at only; None for neither."""


class WindowCounts(NamedTuple):
    """Two counters: the one that was added to and the one that was looked at.

    Each has the number of requests in its window, with those just added, and the ms until the window ends.
    """

    added: int = 0
    added_left: int = 0
    looked: int = 0
    looked_left: int = 0


Counted = tuple[WindowCounts, int]
"""The counts after the last of several equal requests that were counted together, and how many came after this one."""


class PendingCount(Pending[Counted]):
    """A request to count, and its counts to come."""

    __slots__ = ("request",)

    def __init__(self, request: CountRequest) -> None:
        super().__init__()
        self.request = request


class Counters(Protocol):
    """The counters behind the limits. All processes that share the messages share them, and they are exact."""

    def count(self, pending: PendingCount) -> None:
        """Count in the round trip of this turn; resolve `pending` with the counts or a StoreError."""


class RateLimits(NamedTuple):
    """Requests per minute for each kind; 0 = unlimited."""

    create: int = 0
    read: int = 0
    miss: int = 0


class RateLimiter:
    """The rate limiter of one process.

    `clock` is monotonic, in seconds. `on_failure` is called with the error when the counters do not answer.
    """

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
        self.on_failure = on_failure
        self._clock = clock
        self._rejected: dict[Kind, dict[bytes, float]] = {kind: {} for kind in KINDS}
        self._uncounted_misses: dict[bytes, int] = {}

    def create(self, client: bytes) -> "RateLimitCheck":
        """Return the check of one creation."""
        return RateLimitCheck(self, (client, self._enabled["create"], None))

    def lookup(self, client: bytes) -> "RateLimitCheck":
        """Return the check of one look-up."""
        return RateLimitCheck(self, (client, self._enabled["read"], self._enabled["miss"]))

    def miss(self, client: bytes) -> "RateLimitCheck":
        """Return the check of one look-up that found nothing."""
        return RateLimitCheck(self, (client, self._enabled["miss"], None))

    def start(self, check: "RateLimitCheck") -> bool:
        """Count a request, and return whether there is anything to count.

        Raises LimitReached for a client that was rejected and whose window has not ended.
        """
        client, add, look = check.request
        if add is not None and self._rejected[add]:
            self._raise_if_rejected(client, add)
        if look is not None and self._rejected[look]:
            self._raise_if_rejected(client, look)
        if add is None and look is None:
            return False
        self._counters.count(check)
        return True

    def enforce(self, request: CountRequest, counts: WindowCounts, behind: int) -> "Quota | None":
        """Return the remaining quota of the kind that was counted. Raises LimitReached."""
        client, add, look = request
        added, added_left, looked, looked_left = counts
        if look is not None:
            if self._rejected[look]:  # since the request was started
                self._raise_if_rejected(client, look)
            if looked >= self._limit_of[look]:
                raise self._reject(client, look, looked_left)
            if self._uncounted_misses and looked + self._uncounted_misses.get(client, 0) >= self._limit_of[look]:
                raise LimitReached(look, self._limit_of[look], _seconds(looked_left or WINDOW_MS))
        if add is None:
            return None
        remaining = self._limit_of[add] - added + behind
        if remaining < 0:
            raise self._reject(client, add, added_left)
        if remaining == 0 and add == "miss":
            self._remember(client, add, added_left)
        return add, remaining, (added_left + 999) // 1000

    def begin_miss(self, client: bytes) -> None:
        """Take a miss into account from now on, until `end_miss`: it is on its way to the counters."""
        self._uncounted_misses[client] = self._uncounted_misses.get(client, 0) + 1

    def end_miss(self, client: bytes) -> None:
        """Leave a miss to the counters, which have counted it."""
        self._uncounted_misses[client] -= 1
        if not self._uncounted_misses[client]:
            del self._uncounted_misses[client]

    def _reject(self, client: bytes, kind: Kind, left: int) -> LimitReached:
        self._remember(client, kind, left)
        return LimitReached(kind, self._limit_of[kind], _seconds(left))

    def _remember(self, client: bytes, kind: Kind, left: int) -> None:
        """Reject requests of a client for the next `left` ms without a look at the counters."""
        rejected = self._rejected[kind]
        rejected.pop(client, None)
        rejected[client] = self._clock() + left / 1000
        if len(rejected) > MAX_REMEMBERED_REJECTIONS:
            del rejected[next(iter(rejected))]

    def _raise_if_rejected(self, client: bytes, kind: Kind) -> None:
        """Raise LimitReached until the window of the last rejection ends."""
        until = self._rejected[kind].get(client)
        if until is not None:
            left = int((until - self._clock()) * 1000)
            if left > 0:
                raise LimitReached(kind, self._limit_of[kind], _seconds(left))
            del self._rejected[kind][client]


Quota = tuple[Kind, int, int]
"""The remaining quota of a client: the kind, the number of requests, and the seconds until the window ends."""


class RateLimitCheck(PendingCount):
    """One request, counted and compared with the limits. `quota` is None while it is not known.

    `start` counts it in one batch with the store operations of this turn of the event loop; awaiting the check raises
    LimitReached if the client is over its limit. Do nothing that cannot be undone before. Without counts every request
    passes.
    """

    __slots__ = ("_enforced", "_limiter", "quota")

    def __init__(self, limiter: RateLimiter, request: CountRequest) -> None:
        self._callback = None  # as the base classes: calls of their own would cost a tenth of a read
        self._outcome = UNRESOLVED
        self.request = request
        self._limiter = limiter
        self._enforced = False
        self.quota: Quota | None = None

    def start(self) -> None:
        """Count the request. Raises LimitReached for a client that was rejected and whose window has not ended."""
        try:
            if not self._limiter.start(self):
                self.resolve((WindowCounts(), 0))
        except LimitReached as error:
            self.quota = (error.kind, 0, error.seconds)
            raise

    def result(self) -> Counted:
        """Compare the counts with the limits. Raises LimitReached."""
        outcome = self._outcome
        if not isinstance(outcome, tuple):
            return self._without_counts(outcome)
        if not self._enforced:
            self._enforced = True
            counts, behind = outcome
            try:
                self.quota = self._limiter.enforce(self.request, counts, behind)
            except LimitReached as error:
                self.quota = (error.kind, 0, error.seconds)
                raise
        return outcome

    def _without_counts(self, error: BaseException) -> Counted:
        if not isinstance(error, StoreError):
            raise error
        if not self._enforced:
            self._enforced = True
            self._limiter.on_failure(error)
        return WindowCounts(), 0

    async def record_miss(self) -> None:
        """Count a miss. Raises LimitReached if it exceeds the limit, so that exactly `miss` misses are reported.

        Until the counters reply, this process adds the miss to what they tell, so the other requests of a burst, whose
        counts came with the same reply, are within the limit as well.
        """
        await self  # a client over the limit of look-ups is rejected for that, not for the miss
        miss = self._limiter.miss(self.request[0])
        with self.possible_miss():
            try:
                miss.start()
                await miss
            finally:
                self.quota = miss.quota or self.quota

    @contextmanager
    def possible_miss(self) -> Iterator[None]:
        """Take a miss of this request into account for a block, after which it is counted, or known to be none."""
        client = self.request[0]
        self._limiter.begin_miss(client)
        try:
            yield
        finally:
            self._limiter.end_miss(client)


def _seconds(ms: int) -> int:
    """Return whole seconds, rounded up: a client that waits as long is never too early."""
    return (ms + 999) // 1000
