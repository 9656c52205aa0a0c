"""The end of a process that cannot go on: a task or thread that it needs has ended by itself."""

import asyncio
import contextlib
import os
import threading
from typing import NoReturn

from messaging_api.core.background import OnFailure
from messaging_api.observability.logging import JsonLogger, reason


def end_process(logger: JsonLogger, part: str, error: BaseException | None) -> NoReturn:
    """Log which part of this process ended and why, and end the process with code 1, for the supervisor to restart.

    It ends at once: nothing may wait for a part that is gone.
    """
    log_failure(logger, part, error)
    os._exit(1)


def log_failure(logger: JsonLogger, part: str, error: BaseException | None) -> None:
    """Log why this process ends, now."""
    fields = {"error": None, "at": None} if error is None else reason(error)
    logger.event("process_failed", "error", pid=os.getpid(), part=part, **fields)
    logger.flush()


def watch_threads(on_failure: OnFailure) -> None:
    """Call `on_failure` in the running event loop for each thread of this process that ends with an exception."""
    loop = asyncio.get_running_loop()

    def report(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread is not None else "thread"
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends already
            loop.call_soon_threadsafe(on_failure, name, failure.exc_value)

    threading.excepthook = report
