"""The one task of a connection, in which its requests are served one after the other.

A task for each request costs three microseconds, the next request of a task that waits costs one; the bare server's
whole answer costs fifty (`docs/performance.md`).
"""

import asyncio
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class ConnectionTask:
    """Is in `busy` while it serves: there the server counts requests, and waits for them when it stops."""

    def __init__(self, loop: asyncio.AbstractEventLoop, busy: set[Any]) -> None:
        self._loop = loop
        self._busy = busy
        self._next: tuple[RequestResponseCycle, ASGI3Application] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def serve(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Serve one request. The one before it must have been answered."""
        self._next = (cycle, app)
        if self._task is None:
            self._task = self._loop.create_task(self._serve())
        else:
            self._wake()
        self._busy.add(self._task)

    def end(self) -> None:
        """The connection is gone: finish what is being served."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():  # it is when the loop ends and cancels everything
            self._waiting.set_result(None)

    async def _serve(self) -> None:
        task = self._task
        try:
            while self._next is not None:
                (cycle, app), self._next = self._next, None
                await cycle.run_asgi(app)
                if self._next is not None:
                    await asyncio.sleep(0)  # who sends many at once must not keep others waiting
                    continue
                self._busy.discard(task)
                if self._ended:
                    return
                self._waiting = self._loop.create_future()
                del cycle, app
                await self._waiting
        finally:
            self._busy.discard(task)
            self._task = None
