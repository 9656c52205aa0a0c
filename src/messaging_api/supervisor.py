"""One parent that keeps its children running: no event loop, no threads, nothing to go wrong."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
_PATIENCE = 30.0
"""Seconds after which a child that was told to stop is killed."""
_SLOWEST = 5.0
"""Longest pause, in seconds, before a child that keeps dying is started again."""


class Child(NamedTuple):
    """A process to keep running. `main` gets the end of a pipe that closes when the parent is gone."""

    name: str
    main: Callable[[int], None]


class Supervisor:
    """`tell` hears of events: their name and fields. `on_stop` is called once when stopping begins."""

    def __init__(
        self, children: Sequence[Child], tell: Callable[..., None], on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self._children = children
        self._tell = tell
        self._on_stop = on_stop
        self._running: dict[int, Child] = {}
        self._due: list[tuple[float, Child]] = []
        self._deaths: dict[str, int] = {}

    def run(self) -> None:
        """Start all, restart whatever dies, until SIGTERM or SIGINT; then stop all and wait for them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._alive, self._held = os.pipe()
        for child in self._children:
            self._start(child)
        while self._wait(self._pause()) not in (signal.SIGTERM, signal.SIGINT):
            self._restart_due()
        self._stop()

    def _start(self, child: Child) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(child)
        self._running[pid] = child

    def _become(self, child: Child) -> NoReturn:
        code = 1
        try:
            os.close(self._held)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            child.main(self._alive)
            code = 0
        finally:
            os._exit(code)

    def _wait(self, seconds: float | None) -> int:
        """Wait for a signal; bury the dead. The signal, 0 when the time is over."""
        came = signal.sigtimedwait(_SIGNALS, seconds) if seconds is not None else signal.sigwaitinfo(_SIGNALS)
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._bury(pid, os.waitstatus_to_exitcode(status))
        return 0 if came is None else came.si_signo

    def _bury(self, pid: int, code: int) -> None:
        child = self._running.pop(pid)
        deaths = self._deaths[child.name] = self._deaths.get(child.name, 0) + 1
        pause = min(0.05 * 2 ** (deaths - 1), _SLOWEST)
        self._due.append((time.monotonic() + pause, child))
        self._tell("process_ended", process=child.name, pid=pid, code=code)

    def _pause(self) -> float | None:
        return max(0.0, min(self._due)[0] - time.monotonic()) if self._due else None

    def _restart_due(self) -> None:
        now = time.monotonic()
        due, self._due = [child for when, child in self._due if when <= now], [d for d in self._due if d[0] > now]
        for child in due:
            self._start(child)

    def _stop(self) -> None:
        self._on_stop()
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while self._running and (left := deadline - time.monotonic()) > 0:
            self._wait(left)
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
