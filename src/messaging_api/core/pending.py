"""Results to come, and coroutines that run without an asyncio task.

A connection drives the coroutine of its request itself: the coroutine runs until it awaits a `Pending` that has no
result yet, and goes on within the call that resolves it. That spares a Task, a Future and a turn of the event loop for
each step; `docs/adr/0019-http-connection.md` has the figures. In an asyncio task a `Pending` is awaited like a Future.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final, Generic, TypeVar

Result = TypeVar("Result")

UNRESOLVED: Final[Any] = object()
"""The outcome while there is none."""
_driven = False
"""Whether the code that runs now belongs to a coroutine that a `Driver` runs."""


class Pending(Generic[Result]):
    """A result to come. It has one waiter, which may abandon it."""

    __slots__ = ("_callback", "_outcome")

    def __init__(self) -> None:
        self._callback: Callable[[Pending[Result]], None] | None = None
        self._outcome: Result | BaseException = UNRESOLVED

    @property
    def wanted(self) -> bool:
        """Return whether the result is still missing and has a waiter."""
        return self._outcome is UNRESOLVED

    def resolve(self, outcome: Result | BaseException) -> None:
        """Set the result, or the exception to raise, and resume the waiter. Does nothing when it was set before."""
        if self._outcome is UNRESOLVED:
            self._outcome = outcome
            if self._callback is not None:
                self._callback(self)

    def abandon(self) -> None:
        """Give up waiting; an operation that has not begun need not be carried out."""
        self._callback = None
        self.resolve(asyncio.CancelledError())

    def on_result(self, callback: "Callable[[Pending[Result]], None]") -> None:
        """Call `callback` once there is a result: at once if there is one."""
        self._callback = callback
        if self._outcome is not UNRESOLVED:
            callback(self)

    def outcome(self) -> Result | BaseException:
        """Return the result, or the exception. There must be one."""
        return self._outcome

    def result(self) -> Result:
        """Return the result, or raise the exception. There must be one."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def as_future(self) -> "asyncio.Future[Result]":
        """Return a future with the same result; cancelling it abandons this."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.on_result(partial(_copy_result, future))
        future.add_done_callback(self._abandon_if_cancelled)
        return future

    def _abandon_if_cancelled(self, future: "asyncio.Future[Result]") -> None:
        if future.cancelled():
            self.abandon()

    def __await__(self) -> "Generator[Any, None, Result]":
        if self._outcome is UNRESOLVED:
            if not _driven:
                return (yield from self.as_future())
            try:
                yield self
            except GeneratorExit:
                self.abandon()
                raise
        return self.result()


def _copy_result(future: "asyncio.Future[Result]", pending: Pending[Result]) -> None:
    if future.done():
        return
    try:
        future.set_result(pending.result())
    except asyncio.CancelledError:
        future.cancel()
    except BaseException as error:  # noqa: BLE001 it is passed on
        future.set_exception(error)


class TaskResult(Pending[Result]):
    """The result of a coroutine in an asyncio task of its own; abandoning it cancels the task."""

    __slots__ = ("_task",)

    def __init__(self, coroutine: Coroutine[Any, Any, Result]) -> None:
        super().__init__()
        self._task = asyncio.get_running_loop().create_task(coroutine)
        self._task.add_done_callback(self._finish)

    def abandon(self) -> None:
        """Cancel the task."""
        super().abandon()
        self._task.cancel()

    def _finish(self, task: "asyncio.Task[Result]") -> None:
        if task.cancelled():
            self.resolve(asyncio.CancelledError())
        else:
            self.resolve(task.exception() or task.result())


def begun(awaitable: Awaitable[Result]) -> Pending[Result]:
    """Return `awaitable` itself if it is a `Pending`, else a `TaskResult` that runs it."""
    return awaitable if isinstance(awaitable, Pending) else TaskResult(_awaited(awaitable))


async def _awaited(awaitable: Awaitable[Result]) -> Result:
    return await awaitable


class Driver(Generic[Result]):
    """A driver that runs one coroutine at a time without a task.

    The coroutine may await nothing but `Pending`; what needs a task goes into a `TaskResult`.
    """

    __slots__ = ("_coroutine", "_on_end")

    def __init__(self) -> None:
        self._coroutine: Coroutine[Any, None, Result] | None = None
        self._on_end: Callable[[Result | BaseException], None] | None = None

    @property
    def busy(self) -> bool:
        """Return whether a coroutine is running."""
        return self._coroutine is not None

    def run(self, coroutine: Coroutine[Any, None, Result], on_end: Callable[[Result | BaseException], None]) -> None:
        """Run `coroutine`; `on_end` gets its result, or the exception that ended it."""
        self._coroutine = coroutine
        self._on_end = on_end
        self._advance(None)

    def close(self) -> None:
        """End the coroutine where it waits, with GeneratorExit; `on_end` is not called."""
        coroutine, self._coroutine, self._on_end = self._coroutine, None, None
        if coroutine is not None:
            coroutine.close()

    def _advance(self, _resolved: Pending[Any] | None) -> None:
        global _driven  # noqa: PLW0603 an attribute of something would cost more, and all of this runs in one thread
        coroutine, on_end = self._coroutine, self._on_end
        if coroutine is None or on_end is None:
            return
        before, _driven = _driven, True
        outcome: Result | BaseException
        try:
            awaited = coroutine.send(None)
            while not isinstance(awaited, Pending):
                awaited = coroutine.throw(TypeError(f"{type(awaited).__name__} can be awaited in a task only"))
        except StopIteration as end:
            outcome = end.value
        except BaseException as error:  # noqa: BLE001 the caller that started the coroutine gets it
            outcome = error
        else:
            awaited.on_result(self._advance)
            return
        finally:
            _driven = before
        self._coroutine = self._on_end = None
        on_end(outcome)
