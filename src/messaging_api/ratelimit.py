"""How often a client may ask, and what counts as one client.

A client may have `limit` requests of a kind within a window of 60 s that begins with the first of them; then none
until the window ends. Kinds: `create` (POST /), `read` (whatever looks up an id), `miss` (a look-up that found nothing:
guessing). The counts live where the messages live, so that all processes and nodes share them; `docs/adr/0006` says
why a window and not a leaking bucket, and what happens when the counts are out of reach.
"""

import time
from asyncio import Future
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Literal, NamedTuple, Protocol, get_args

from messaging_api.errors import LimitReached, StoreError

Kind = Literal["create", "read", "miss"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WINDOW_MS = 60_000
MOST_REFUSED = 10_000
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


class Ask(NamedTuple):
    """One more request of the kind `add` by `client`, None for none; and how does `look` stand?"""

    client: bytes
    add: Kind | None
    look: Kind | None = None


class Standing(NamedTuple):
    """How two counters stand: requests in this window (of `add` the one asked for is among them), ms until it ends."""

    added: int = 0
    added_left: int = 0
    looked: int = 0
    looked_left: int = 0


class Counters(Protocol):
    """Where the counts live. Shared by all who share the messages; exact whatever their number."""

    def count(self, ask: Ask) -> "Future[Standing | StoreError]":
        """Count at once, in the round trip of this turn of the loop.

        An error is given and not raised: nobody need wait for the answer.
        """


class Limits(NamedTuple):
    """Requests a minute for each kind, 0 for any number."""

    create: int = 0
    read: int = 0
    miss: int = 0


class Quota(NamedTuple):
    """What a client has left: of `kind` `remaining` requests until the window ends in `seconds`."""

    kind: Kind
    remaining: int
    seconds: int


class Limiter:
    """Decides for one process. `clock` is monotonic, in seconds; `on_failure` hears of counts out of reach."""

    def __init__(
        self,
        limits: Limits,
        counters: Counters,
        on_failure: Callable[[StoreError], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._most = limits._asdict()
        self._counters = counters
        self._on_failure = on_failure
        self._clock = clock
        self._refused: dict[Kind, dict[bytes, float]] = {kind: {} for kind in KINDS}

    def create(self, client: bytes) -> "Asking":
        """For one creation."""
        return Asking(self, Ask(client, "create" if self.limits.create else None))

    def read(self, client: bytes) -> "Asking":
        """For one look-up."""
        return Asking(self, Ask(client, "read" if self.limits.read else None, "miss" if self.limits.miss else None))

    def ask(self, ask: Ask) -> "Future[Standing | StoreError] | None":
        """The answer of the counters, None when there is nothing to ask. Raises LimitReached for what was refused."""
        if ask.add is not None and self._refused[ask.add]:
            self._recall(ask.client, ask.add)
        if ask.look is not None and self._refused[ask.look]:
            self._recall(ask.client, ask.look)
        return self._counters.count(ask) if ask.add or ask.look else None

    def decide(self, ask: Ask, standing: Standing | StoreError) -> Quota | None:
        """What is left of what was asked for. Raises LimitReached; lets pass when the counters gave no answer."""
        if isinstance(standing, StoreError):
            self._on_failure(standing)
            return None
        if ask.look is not None and standing.looked >= self._most[ask.look]:
            raise self._refuse(ask.client, ask.look, standing.looked_left)
        if ask.add is None:
            return None
        remaining = self._most[ask.add] - standing.added
        if remaining < 0:
            raise self._refuse(ask.client, ask.add, standing.added_left)
        return Quota(ask.add, remaining, _seconds(standing.added_left))

    def _refuse(self, client: bytes, kind: Kind, left: int) -> LimitReached:
        refused = self._refused[kind]
        refused.pop(client, None)
        refused[client] = self._clock() + left / 1000
        if len(refused) > MOST_REFUSED:
            del refused[next(iter(refused))]
        return LimitReached(kind, self._most[kind], _seconds(left))

    def _recall(self, client: bytes, kind: Kind) -> None:
        """Refuse again, until what it was refused for is over."""
        until = self._refused[kind].get(client)
        if until is not None:
            left = until - self._clock()
            if left > 0:
                raise LimitReached(kind, self._most[kind], _seconds(left * 1000))
            del self._refused[kind][client]


class Permit:
    """Leave to do one thing. This one is given to everybody."""

    __slots__ = ()

    def ask(self) -> None:
        """Ask for it, in the round trip of this turn of the loop. Raises LimitReached."""

    async def granted(self) -> None:
        """Wait for the answer. Nothing that cannot be undone is done before. Raises LimitReached."""


UNLIMITED = Permit()


class Asking(Permit):
    """A permit that `limiter` gives. `quota` tells the client what it has left, None when that is not known."""

    __slots__ = ("_answer", "_ask", "_limiter", "quota")

    def __init__(self, limiter: Limiter, ask: Ask) -> None:
        self._limiter = limiter
        self._ask = ask
        self._answer: Future[Standing | StoreError] | None = None
        self.quota: Quota | None = None

    def ask(self) -> None:
        self._answer = self._limiter.ask(self._ask)

    async def granted(self) -> None:
        answer = self._answer
        if answer is not None:
            self.quota = self._limiter.decide(self._ask, answer.result() if answer.done() else await answer)

    async def missed(self) -> None:
        """Count that nothing was found. Raises LimitReached when that was one too many: exactly `miss` are told so."""
        missed = Ask(self._ask.client, self._ask.look)
        answer = self._limiter.ask(missed)
        if answer is not None:
            self.quota = self._limiter.decide(missed, await answer)


def _seconds(ms: float) -> int:
    """Whole seconds, rounded up: to come back after them is never too early."""
    return max(1, int(-(-ms // 1000)))
