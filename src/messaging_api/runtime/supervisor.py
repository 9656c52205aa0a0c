"""The supervisor: a parent process that keeps its children running, without an event loop or threads."""

import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
_KILL_AFTER = 30.0
"""Seconds from SIGTERM until a child that still runs is killed."""
_MAX_RESTART_PAUSE = 5.0
"""Longest pause, in seconds, before a child that keeps dying is restarted."""


class Child(NamedTuple):
    """A process to keep running. `main` gets the read end of a pipe that closes when the parent dies."""

    name: str
    main: Callable[[int], None]


class DrainPhase(NamedTuple):
    """The first phase of a stop: `on_begin` is called, and the children keep running for `seconds`.

    In this time a load balancer notices that it should stop sending requests. A second signal ends the phase.
    """

    seconds: float
    on_begin: Callable[[], None]


class Supervisor:
    """A supervisor of child processes.

    `on_event` is called with the name and the fields of an event, `on_stop` once before the children are stopped.
    """

    def __init__(
        self, children: Sequence[Child], on_event: Callable[..., None], drain: DrainPhase, on_stop: Callable[[], None]
    ) -> None:
        self._children = children
        self._on_event = on_event
        self._drain = drain
        self._on_stop = on_stop
        self._running: dict[int, Child] = {}
        self._due: list[tuple[float, Child]] = []
        self._deaths: dict[str, int] = {}

    def run(self) -> None:
        """Start all children and restart those that die; on SIGTERM or SIGINT drain, stop all and wait for them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._pipe_read, self._pipe_write = os.pipe()
        for child in self._children:
            self._start(child)
        self._keep_running(math.inf)
        self._drain.on_begin()
        self._keep_running(time.monotonic() + self._drain.seconds)
        self._stop()

    def _keep_running(self, until: float) -> None:
        """Restart children that die, until a signal to stop or until the monotonic time `until`."""
        while time.monotonic() < until:
            due = min(until, min(self._due)[0] if self._due else math.inf)
            if self._wait(due) in (signal.SIGTERM, signal.SIGINT):
                return
            self._restart_due()

    def _start(self, child: Child) -> None:
        pid = os.fork()
        if pid == 0:
            self._run_child(child)
        self._running[pid] = child

    def _run_child(self, child: Child) -> NoReturn:
        code = 1
        try:
            os.close(self._pipe_write)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            child.main(self._pipe_read)
            code = 0
        finally:
            os._exit(code)

    def _wait(self, until: float) -> int:
        """Wait for a signal, and reap dead children. Return the signal, 0 at the time `until`."""
        seconds = max(0.0, until - time.monotonic())
        received = signal.sigwaitinfo(_SIGNALS) if until == math.inf else signal.sigtimedwait(_SIGNALS, seconds)
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._reap(pid, os.waitstatus_to_exitcode(status))
        return 0 if received is None else received.si_signo

    def _reap(self, pid: int, code: int) -> None:
        child = self._running.pop(pid, None)
        if child is None:  # an orphan: in a container the supervisor is the first process, which inherits them
            return
        deaths = self._deaths[child.name] = self._deaths.get(child.name, 0) + 1
        pause = min(0.05 * 2 ** (deaths - 1), _MAX_RESTART_PAUSE)
        self._due.append((time.monotonic() + pause, child))
        self._on_event("process_ended", process=child.name, pid=pid, code=code)

    def _restart_due(self) -> None:
        now = time.monotonic()
        due, self._due = [child for when, child in self._due if when <= now], [d for d in self._due if d[0] > now]
        for child in due:
            self._start(child)

    def _stop(self) -> None:
        self._on_stop()
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _KILL_AFTER
        while self._running and time.monotonic() < deadline:
            self._wait(deadline)
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
