"""Background tasks: nobody waits for their result, so nobody would notice that one has ended.

A task that ends by itself is reported to whoever owns the process, and a process does not go on without it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn

OnFailure = Callable[[str, BaseException | None], None]
"""A handler that gets the name of a task or thread that ended by itself, and its exception; None if it returned."""


def start_task(name: str, coroutine: Coroutine[Any, Any, None], on_failure: OnFailure) -> "asyncio.Task[None]":
    """Run `coroutine`, which may return, in a task; `on_failure` is called if it raises."""
    return _start(name, coroutine, partial(_report_error, on_failure))


def start_endless_task(
    name: str, coroutine: Coroutine[Any, Any, NoReturn], on_failure: OnFailure
) -> "asyncio.Task[None]":
    """Run `coroutine` in a task until it is cancelled; `on_failure` is called if it ends in another way."""
    return _start(name, coroutine, partial(_report_end, on_failure))


def raise_failure(name: str, error: BaseException | None) -> None:
    """Raise the exception, for the log of the event loop: the handler of a process without an owner."""
    raise error or RuntimeError(f"{name} has ended")


def _start(
    name: str, coroutine: Coroutine[Any, Any, None], on_end: "Callable[[asyncio.Task[None]], None]"
) -> "asyncio.Task[None]":
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    task.add_done_callback(on_end)
    return task


def _report_end(on_failure: OnFailure, task: "asyncio.Task[None]") -> None:
    if not task.cancelling():  # else its owner stopped it
        on_failure(task.get_name(), asyncio.CancelledError() if task.cancelled() else task.exception())


def _report_error(on_failure: OnFailure, task: "asyncio.Task[None]") -> None:
    if task.cancelled() or task.exception() is not None:
        _report_end(on_failure, task)
