"""The supervisor: a parent process that keeps its children running, without an event loop or threads."""

import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from messaging_api.runtime.watchdog import CHECK_INTERVAL, Watchdog

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_STOP = {signal.SIGTERM, signal.SIGINT}
_KILL_AFTER = 30.0
"""Seconds from SIGTERM until a child that still runs is killed."""
_RESTART_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Pauses, in seconds, before a child is restarted that died for the first time, for the second time, and so on."""
HEALTHY_AFTER = 60.0
"""Seconds after which a child is healthy: its earlier deaths no longer count."""


class Child(NamedTuple):
    """A process to keep running.

    `main` gets the read end of a pipe that closes when the parent dies. A process is killed if its `heartbeat`, which
    the parent reads, stays the same for too long.
    """

    name: str
    main: Callable[[int], None]
    heartbeat: Callable[[], int]


class DrainPhase(NamedTuple):
    """The first phase of a stop: `on_begin` is called, and the children keep running for `seconds`.

    In this time a load balancer notices that it should stop sending requests. A second signal ends the phase.
    """

    seconds: float
    on_begin: Callable[[], None]


class SupervisorHandlers(NamedTuple):
    """Handlers of what happens to the children.

    `on_event` is called with the name and the fields of a warning, `on_restart` for each death that a restart follows,
    and `on_failure`, in the child, with its name and the error that ends it. `on_reopen` is called on
    SIGHUP, before the children receive it, unless `terminal_lost` says that SIGHUP means the end. `on_stop` is called
    once before the children are stopped.
    """

    on_event: Callable[..., None]
    on_restart: Callable[[], None]
    on_failure: Callable[[str, BaseException], None]
    on_reopen: Callable[[], None]
    terminal_lost: Callable[[], bool]
    on_stop: Callable[[], None]


class _Running(NamedTuple):
    child: Child
    since: float


class Supervisor:
    """A supervisor of child processes. `clock` returns monotonic seconds."""

    def __init__(
        self,
        children: Sequence[Child],
        drain: DrainPhase,
        handlers: SupervisorHandlers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._children = children
        self._drain = drain
        self._handlers = handlers
        self._clock = clock
        self._running: dict[int, _Running] = {}
        self._due: list[tuple[float, Child]] = []
        self._deaths: dict[str, int] = {}
        self._watchdog = Watchdog()
        self._next_check = 0.0

    def run(self) -> None:
        """Start all children and restart those that die; on SIGTERM or SIGINT drain, stop all and wait for them.

        SIGHUP reopens the log files; if it comes because the terminal hung up, it is like SIGTERM.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._pipe_read, self._pipe_write = os.pipe()
        for child in self._children:
            self._start(child)
        self._keep_running(math.inf)
        self._drain.on_begin()
        self._keep_running(self._clock() + self._drain.seconds)
        self._stop()

    def _keep_running(self, until: float) -> None:
        """Restart children that die, until a signal to stop or until `until`."""
        while self._clock() < until:
            received = self._wait(min([until, self._next_check, *(when for when, _ in self._due)]))
            if received in _STOP or (received == signal.SIGHUP and self._handlers.terminal_lost()):
                return  # without a look at the children: those that have ended may have received the same signal
            if received == signal.SIGHUP:
                self._reopen()
            for pid, code in self._ended():
                self._schedule_restart(pid, code)
            self._restart_due()
            if self._clock() >= self._next_check:
                self._kill_stuck()

    def _start(self, child: Child) -> None:
        running = _Running(child, self._clock())
        pid = os.fork()
        if pid == 0:
            self._run_child(child)
        self._running[pid] = running

    def _run_child(self, child: Child) -> NoReturn:
        code = 1
        try:
            os.close(self._pipe_write)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the child handles it
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            child.main(self._pipe_read)
            code = 0
        except BaseException as error:  # noqa: BLE001 whatever ends a child is told
            self._handlers.on_failure(child.name, error)
        finally:
            os._exit(code)

    def _wait(self, until: float) -> int:
        """Wait for a signal and return it; 0 at the time `until`."""
        received = signal.sigtimedwait(_SIGNALS, max(0.0, until - self._clock()))
        return 0 if received is None else received.si_signo

    def _ended(self) -> list[tuple[int, int]]:
        """Return the ids and exit codes of the children that have ended."""
        ended: list[tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                return ended
            if pid in self._running:  # else an orphan: the first process of a container inherits them
                ended.append((pid, os.waitstatus_to_exitcode(status)))

    def _schedule_restart(self, pid: int, code: int) -> None:
        child, since = self._running.pop(pid)
        now = self._clock()
        deaths = self._deaths.get(child.name, 0) if now - since < HEALTHY_AFTER else 0
        self._deaths[child.name] = deaths + 1
        pause = _RESTART_PAUSES[min(deaths, len(_RESTART_PAUSES) - 1)]
        self._due.append((now + pause, child))
        self._watchdog.forget(pid)
        self._handlers.on_restart()
        self._handlers.on_event("process_ended", process=child.name, pid=pid, code=code, restart_in=pause)

    def _restart_due(self) -> None:
        now = self._clock()
        due, self._due = [child for when, child in self._due if when <= now], [d for d in self._due if d[0] > now]
        for child in due:
            self._start(child)

    def _kill_stuck(self) -> None:
        self._next_check = self._clock() + CHECK_INTERVAL
        for pid, (child, _) in self._running.items():
            if self._watchdog.stuck(pid, child.heartbeat()):
                self._handlers.on_event("process_stuck", process=child.name, pid=pid)
                os.kill(pid, signal.SIGKILL)

    def _reopen(self) -> None:
        self._handlers.on_reopen()
        for pid in self._running:
            os.kill(pid, signal.SIGHUP)

    def _stop(self) -> None:
        self._handlers.on_stop()
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        deadline = self._clock() + _KILL_AFTER
        while self._reap_stopped() and self._clock() < deadline:
            self._wait(deadline)
        for pid, (child, _) in self._running.items():
            self._handlers.on_event("process_killed", process=child.name, pid=pid)
            os.kill(pid, signal.SIGKILL)

    def _reap_stopped(self) -> bool:
        """Reap the children that have stopped, and return whether others are left."""
        for pid, code in self._ended():
            child, _ = self._running.pop(pid)
            if code not in (0, -signal.SIGTERM):
                self._handlers.on_event("process_ended", process=child.name, pid=pid, code=code)
        return bool(self._running)
