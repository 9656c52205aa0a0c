"""The body of one request, as it arrives."""

from collections.abc import Callable

from messaging_api.core.pending import Pending
from messaging_api.errors import MessagingError, Overloaded
from messaging_api.server.early_responses import Rejection
from messaging_api.server.load import WorkerLoad
from messaging_api.web.http_errors import BodyTooLong

LARGE_BODY = 8192
"""Bytes of a body that are always accepted, however much the worker holds of other bodies."""


class EmptyBody:
    """The body of requests that have none."""

    size = 0
    awaited = False
    complete = True

    async def read(self, _limit: int) -> bytes:
        """Return nothing."""
        return b""

    def feed(self, _chunk: bytes) -> None:
        """Do nothing: httptools never passes a part of a body that does not exist."""

    def finish(self) -> None:
        """Do nothing."""

    def fail(self, _error: MessagingError) -> None:
        """Do nothing."""

    def drop(self) -> None:
        """Do nothing."""


EMPTY = EmptyBody()


class Body:
    """A body of a request that is still arriving. `declared` is its Content-Length, 0 without one.

    `on_wait` is called when the handler begins to wait for the rest, `on_continue` when it goes on.
    """

    __slots__ = (
        "_chunks",
        "_declared",
        "_error",
        "_limit",
        "_load",
        "_on_continue",
        "_on_wait",
        "_rest",
        "complete",
        "size",
    )

    def __init__(
        self, load: WorkerLoad, declared: int, on_wait: Callable[[], None], on_continue: Callable[[], None]
    ) -> None:
        self._load = load
        self._declared = declared
        self._on_wait = on_wait
        self._on_continue = on_continue
        self._chunks: list[bytes] | None = []
        self._error: MessagingError | None = None
        self._limit = 0
        self._rest: Pending[None] | None = None
        self.size = 0
        self.complete = False

    @property
    def awaited(self) -> bool:
        """Return whether the handler waits for the rest."""
        return self._rest is not None

    async def read(self, limit: int) -> bytes:
        """Return the whole body; see `web.types.RequestBody`."""
        if self.size > limit or self._declared > limit:
            raise BodyTooLong
        if self._error is not None:
            raise self._error
        if not self.complete:
            self._limit, self._rest = limit, Pending()
            self._on_wait()
            try:
                await self._rest
            finally:
                self._rest = None
                self._on_continue()
        return b"".join(self._chunks or ())

    def feed(self, chunk: bytes) -> None:
        """Add the next part, unless the body was dropped. Raises Rejection when the worker holds too much."""
        if self._chunks is None:
            return
        self._chunks.append(chunk)
        self.size += len(chunk)
        self._load.held += len(chunk)
        if self._load.held > self._load.max_held and self.size > LARGE_BODY:
            raise Rejection(Overloaded(), "bodies")
        if self._rest is not None and self.size > self._limit:
            self._rest.resolve(BodyTooLong())

    def fail(self, error: MessagingError) -> None:
        """Note that the rest will not arrive; reading raises `error`."""
        self._error = error
        if self._rest is not None:
            self._rest.resolve(error)

    def finish(self) -> None:
        """Note that the body is complete."""
        self._load.held -= self.size
        self.complete = True
        if self._rest is not None:
            self._rest.resolve(None)

    def drop(self) -> None:
        """Discard the body, including what is still to arrive: it will not be read."""
        if not self.complete:
            self._load.held -= self.size
        self._chunks = None
        self.size = 0
