"""The supervisor with real processes: deaths, pauses, stops, hang-ups and stuck children; the clock is the test's."""

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import pytest

from messaging_api.errors import SettingsError
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.rotating_file import NAME, DailyFile
from messaging_api.runtime import supervisor, watchdog
from messaging_api.runtime.failure import log_failure
from messaging_api.runtime.supervisor import Child, DrainPhase, Supervisor, SupervisorHandlers
from tests.support.service import children, wait_for

SPAWN = multiprocessing.get_context("spawn")
Event = dict[str, Any]


class Shared:
    """What the test and the supervised processes share: a log, the skew of the clock in seconds, and a heartbeat."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skew: Synchronized[float] = SPAWN.Value(ctypes.c_double, 0.0)
        self.beats: Synchronized[int] = SPAWN.Value(ctypes.c_long, 0)

    def clock(self) -> float:
        return time.monotonic() + self.skew.value

    def logger(self) -> JsonLogger:
        return JsonLogger(DailyFile(str(self.folder), 400), console=-1)

    def events(self, *names: str) -> list[Event]:
        """Return the events with these names that were logged so far."""
        path = self.folder / NAME
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for line in lines if (event := json.loads(line))["event"] in names]


def supervise(shared: Shared, main: "Main", drain_seconds: float) -> None:
    """Run a supervisor of two children in this process."""
    watchdog.MAX_CHECKS = 5
    supervisor.CHECK_INTERVAL = 0.1  # type: ignore[attr-defined]
    logger = shared.logger()
    names = "worker", "ops"
    beats = lambda: shared.beats.value  # noqa: E731 both children have one heartbeat
    handlers = SupervisorHandlers(
        on_event=logger.event,
        on_restart=partial(logger.event, "restart"),
        on_failure=partial(log_failure, logger),
        on_reopen=partial(logger.event, "reopen"),
        terminal_lost=(shared.folder / "hung-up").exists,
        on_stop=partial(logger.event, "stop"),
    )
    drain = DrainPhase(drain_seconds, partial(logger.event, "drain"))
    Supervisor([Child(name, partial(main, shared, name), beats) for name in names], drain, handlers, shared.clock).run()


def serve(shared: Shared, name: str, _alive: int) -> None:
    """Live until SIGTERM."""
    signals = {signal.SIGTERM, signal.SIGHUP}
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    shared.logger().event("serves", process=name, pid=os.getpid())
    while True:
        shared.beats.value += 1
        received = signal.sigtimedwait(signals, 0.02)
        if received is not None:
            shared.logger().event(signal.Signals(received.si_signo).name, process=name)
            if received.si_signo == signal.SIGTERM:
                return


def ignore_sigterm(shared: Shared, name: str, alive: int) -> None:
    """Live until killed."""
    while True:
        serve(shared, name, alive)


def cannot_start(_shared: Shared, name: str, _alive: int) -> None:
    """Fail before anything runs."""
    if name == "ops":
        raise SettingsError("The log folder is gone.")
    raise KeyError("secret")


def fail_at_stop(shared: Shared, name: str, alive: int) -> None:
    """Fail while stopping."""
    serve(shared, name, alive)
    raise KeyError("secret")


Main = Any


@contextlib.contextmanager
def supervised(folder: Path, main: Main, drain_seconds: float = 0.0) -> Iterator[tuple[Shared, Any]]:
    """Run a supervisor in a process of its own, which leads a process group; yield what is shared, and the process."""
    shared = Shared(folder)
    process = SPAWN.Process(target=supervise, args=(shared, main, drain_seconds))
    process.start()
    try:
        yield shared, process
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        # the children notice nothing of a pipe here: end those that are left
        for event in shared.events("serves"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(event["pid"], signal.SIGKILL)


def serving(shared: Shared, number: int) -> bool:
    """Return whether children have begun to serve so many times."""
    return len(shared.events("serves")) == number


def kill(shared: Shared, name: str) -> None:
    """Kill the latest process of a child, and wait until it is replaced."""
    before = [event for event in shared.events("serves") if event["process"] == name]
    os.kill(before[-1]["pid"], signal.SIGKILL)
    wait_for(lambda: len([e for e in shared.events("serves") if e["process"] == name]) > len(before))


def pauses(shared: Shared) -> list[float]:
    """Return the pauses after the deaths so far."""
    return [event["restart_in"] for event in shared.events("process_ended")]


def test_pause_grows_with_each_death_and_is_forgotten(tmp_path: Path) -> None:
    """A child that has lived for a minute restarts at once again; the deaths of one child do not concern another."""
    with supervised(tmp_path, serve) as (shared, _):
        wait_for(lambda: serving(shared, 2))
        for _ in range(3):
            kill(shared, "worker")
        kill(shared, "ops")
        assert pauses(shared) == [0.05, 0.1, 0.2, 0.05]
        shared.skew.value += supervisor.HEALTHY_AFTER - 5
        kill(shared, "worker")
        assert pauses(shared)[-1] == 0.4
        shared.skew.value += supervisor.HEALTHY_AFTER
        kill(shared, "worker")
        assert pauses(shared)[-1] == 0.05
        (first, *_) = shared.events("process_ended")
        assert (first["process"], first["code"]) == ("worker", -signal.SIGKILL)
        assert len(shared.events("restart")) == 6


def test_pause_has_a_limit(tmp_path: Path) -> None:
    """A child that fails again and again restarts every few seconds, however often it has failed."""
    seen = 0
    with supervised(tmp_path, cannot_start) as (shared, process):

        def failed(times: int) -> bool:
            nonlocal seen
            deaths = len(shared.events("process_ended"))
            if deaths > seen:  # only then, so that no child lives for a minute of this clock
                seen = deaths
                shared.skew.value += 5
            os.kill(process.pid, signal.SIGCHLD)
            return deaths >= times

        wait_for(lambda: failed(40))
        assert {min(1.6, pause) for pause in pauses(shared)[-2:]} == {1.6}
        assert max(pauses(shared)) == 5.0
        assert process.is_alive()


@pytest.mark.parametrize("drain_seconds", [0.0, 0.3])
def test_stop_is_no_death(tmp_path: Path, drain_seconds: float) -> None:
    """Children that end during a stop are neither logged nor counted, also if they receive the signal themselves."""
    with supervised(tmp_path, serve, drain_seconds) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        os.kill(process.pid, signal.SIGSTOP)  # all signals are there when it goes on
        os.kill(process.pid, signal.SIGTERM)
        if not drain_seconds:
            for child in children(process.pid):
                os.kill(child, signal.SIGTERM)
            wait_for(lambda: len(shared.events("SIGTERM")) == 2)
        os.kill(process.pid, signal.SIGCONT)
        process.join(20)
        assert process.exitcode == 0
        assert shared.events("process_ended", "restart", "process_killed") == []
        assert len(shared.events("SIGTERM")) == 2
        assert [e["event"] for e in shared.events("drain", "stop")] == ["drain", "stop"]


def test_death_during_the_drain_is_a_death(tmp_path: Path) -> None:
    """While the service drains, it serves: a child that dies is restarted; a second signal ends the drain."""
    with supervised(tmp_path, serve, 600.0) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        os.kill(process.pid, signal.SIGTERM)
        wait_for(lambda: shared.events("drain"))
        kill(shared, "worker")
        assert len(shared.events("process_ended")) == len(shared.events("restart")) == 1
        os.kill(process.pid, signal.SIGINT)
        process.join(20)
        assert process.exitcode == 0


def test_failure_during_a_stop_is_logged_and_not_counted(tmp_path: Path) -> None:
    """A child that fails while stopping is no restart, but its exit code and its error are logged."""
    with supervised(tmp_path, fail_at_stop) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        os.kill(process.pid, signal.SIGTERM)
        process.join(20)
        assert [event["code"] for event in shared.events("process_ended")] == [1, 1]
        assert [event["error"] for event in shared.events("process_failed")] == ["KeyError", "KeyError"]
        assert shared.events("restart") == []


def test_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """It is killed after 30 seconds, and that is logged."""
    with supervised(tmp_path, ignore_sigterm) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        os.kill(process.pid, signal.SIGTERM)
        wait_for(lambda: len(shared.events("SIGTERM")) == 2)
        assert process.is_alive()
        shared.skew.value += 31
        os.kill(process.pid, signal.SIGCHLD)
        process.join(20)
        assert {event["process"] for event in shared.events("process_killed")} == {"worker", "ops"}


def test_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its class and place are logged, the text only of our own errors; then it is started again."""
    with supervised(tmp_path, cannot_start) as (shared, _):
        wait_for(lambda: len(shared.events("process_failed")) >= 4)
        failures = {event["part"]: event for event in shared.events("process_failed")}
        assert failures["worker"]["error"] == "KeyError"
        assert failures["worker"]["at"].startswith("test_supervisor.py:")
        assert "secret" not in str(failures)
        assert (failures["ops"]["error"], failures["ops"]["detail"]) == ("SettingsError", "The log folder is gone.")
        assert {event["code"] for event in shared.events("process_ended")} == {1}


def test_sighup_reaches_all_processes(tmp_path: Path) -> None:
    """The supervisor and all children receive it, and go on."""
    with supervised(tmp_path, serve) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        os.kill(process.pid, signal.SIGHUP)
        wait_for(lambda: len(shared.events("SIGHUP")) == 2)
        assert len(shared.events("reopen")) == 1
        assert shared.events("process_ended", "stop") == []


def test_sighup_of_a_lost_terminal_stops(tmp_path: Path) -> None:
    """When the terminal hung up, the service ends as with SIGTERM."""
    with supervised(tmp_path, serve) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        (tmp_path / "hung-up").touch()
        os.kill(process.pid, signal.SIGHUP)
        process.join(20)
        assert process.exitcode == 0
        assert shared.events("reopen", "process_ended") == []


def test_stuck_child_is_replaced(tmp_path: Path) -> None:
    """Children whose heartbeat stands still are killed and replaced; those that beat are not."""
    with supervised(tmp_path, serve) as (shared, process):
        wait_for(lambda: serving(shared, 2))
        beats = shared.beats.value
        wait_for(lambda: shared.beats.value > beats + 100)
        assert shared.events("process_stuck") == []
        for child in children(process.pid):
            os.kill(child, signal.SIGSTOP)
        wait_for(lambda: serving(shared, 4))
        assert len(shared.events("process_stuck")) == 2
        assert {event["code"] for event in shared.events("process_ended")} == {-signal.SIGKILL}
