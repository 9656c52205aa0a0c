"""The processes of a real service: what ends them, what they log when they end, and what must not stop them."""

import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service import COMMAND, NO_LIMITS, Running, answers, children, sample, serving, wait_for

PARTS = {
    "heartbeat": "heartbeat._resident_bytes = fail",
    "timeouts": "Timeouts.check = fail",
    "writer": "beat = heartbeat._resident_bytes\n"
    "heartbeat._resident_bytes = lambda *a: (threading.Thread(target=fail, name='writer').start(), beat(*a))[1]",
}
"""Code that breaks a part of the worker while a file exists. No real fault makes exactly this part fail."""

BROKEN = """
import os, threading
from messaging_api.runtime import heartbeat
from messaging_api.server.timeouts import Timeouts
from messaging_api.cli import main
def fail(*arguments):
    if os.path.exists({broken!r}):
        raise KeyError("secret")
    return 1
{part}
main()
"""


def lines(service: Running, *events: str) -> list[dict[str, Any]]:
    """Return the lines of these events in the log file."""
    told = map(json.loads, service.log.read_text().splitlines())
    return [line for line in told if line["event"] in events]


def sqlite(folder: Path) -> str:
    return f"sqlite://{folder}/m.db"


@pytest.mark.parametrize("part", PARTS)
def test_part_that_ends_by_itself_ends_its_worker(tmp_path: Path, part: str) -> None:
    """A task or thread that fails ends the worker with code 1 and its reason in the log; another worker takes over."""
    broken = tmp_path / "broken"
    program = (sys.executable, "-c", BROKEN.format(broken=str(broken), part=PARTS[part]))
    with serving(tmp_path, sqlite(tmp_path), "--workers", "1", program=program) as service:
        before = service.workers()
        broken.touch()
        wait_for(lambda: lines(service, "process_ended"))
        broken.unlink()
        (failure, *_) = lines(service, "process_failed")
        assert (failure["part"], failure["error"], failure["level"]) == (part, "KeyError", "error")
        assert failure["pid"] in before
        assert "secret" not in service.log.read_text() + service.console.read_text()
        assert {line["code"] for line in lines(service, "process_ended")} == {1}
        wait_for(lambda: answers(service.url))


def test_worker_without_free_descriptors_goes_on(tmp_path: Path) -> None:
    """Its heartbeat needs no new descriptor: clients that use up all of them do not end it."""
    with serving(tmp_path, sqlite(tmp_path), "--workers", "1") as service:
        before = service.workers()
        worker, _ops = before
        connections = partial(sample, service.ops_url, "messaging_worker_connections", worker="0")
        with httpx.Client() as first:
            with httpx.Client() as second:
                first.get(service.url)
                second.get(service.url)
                wait_for(lambda: connections() == 2)
                _, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
                resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, hard))
            wait_for(lambda: connections() == 1)
        wait_for(lambda: connections() == 0)
        assert service.workers() == before


def test_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    """With a damaged database a killed worker does not come back, and each attempt logs the reason."""
    with serving(tmp_path, sqlite(tmp_path), "--workers", "1") as service:
        for path in tmp_path.glob("m.db*"):
            path.unlink()
        (tmp_path / "m.db").write_bytes(b"not a database" * 1000)
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_for(lambda: lines(service, "process_failed"))
        (failure, *_) = lines(service, "process_failed")
        assert failure["part"] in ("worker-0", "ops")
        assert failure["error"] == "NotExecuted"
        assert failure["detail"]
        assert "database.py:" in failure["at"]


@pytest.mark.parametrize("drain", ["0", "1"])
def test_stop_logs_no_death(tmp_path: Path, drain: str) -> None:
    """A stop is `stopping` and `stopped`; the processes that end meanwhile have not died."""
    with serving(tmp_path, sqlite(tmp_path), "--workers", "2", "--drain-seconds", drain) as service:
        assert service.stop() == 0
        assert [line["event"] for line in lines(service, "stopping", "stopped")] == ["stopping", "stopped"]
        assert lines(service, "process_ended", "process_failed", "process_killed") == []


def test_sighup_opens_new_log_files(tmp_path: Path) -> None:
    """After the files were moved, SIGHUP to the service makes every process write to a new one."""
    with serving(tmp_path, sqlite(tmp_path), "--workers", "2") as service:
        moved = service.log.rename(tmp_path / "moved.log")
        before = service.workers()
        os.kill(service.process.pid, signal.SIGHUP)
        wait_for(lambda: answers(service.url) and service.log.exists())
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_for(lambda: lines(service, "process_ended"))
        assert '"event":"process_ended"' not in moved.read_text()
        assert len(set(service.workers()) & set(before)) >= 2


@pytest.mark.parametrize("how", [Path.unlink, lambda path: path.rename(path.with_name("moved"))], ids=["rm", "mv"])
def test_log_file_that_is_gone_is_replaced(tmp_path: Path, how: Any) -> None:
    """A file that was moved or deleted is noticed without a signal."""
    with serving(tmp_path, sqlite(tmp_path), "--workers", "1") as service:
        assert answers(service.url)
        wait_for(lambda: lines(service, "request"))
        how(service.log)
        wait_for(lambda: answers(service.url) and service.log.exists())
        assert answers(service.url)
        assert lines(service, "request")


def read_all(descriptor: int, into: bytearray) -> None:
    """Read until the other end is closed."""
    with contextlib.suppress(OSError):  # a terminal whose other end was closed
        while data := os.read(descriptor, 65_536):
            into += data


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Yield a pipe, as container engines give to a service."""
    yield os.pipe()


@contextlib.contextmanager
def stopped_terminal() -> Iterator[tuple[int, int]]:
    """Yield a terminal after Ctrl-S; reading it means Ctrl-Q."""
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    yield master, slave


@pytest.mark.parametrize("kind", [pipe, stopped_terminal])
def test_console_that_nobody_reads_stops_nothing(tmp_path: Path, kind: Any) -> None:
    """All requests are served and in the log file; the console drops lines, counts them, and works again once read."""
    requests, told = 3000, bytearray()
    with kind() as (reader, writer), serving(tmp_path, sqlite(tmp_path), "--workers", "2", stderr=writer) as service:

        def ask() -> None:
            with httpx.Client(timeout=20) as client:
                for _ in range(requests // 4):
                    assert client.get(service.url).status_code == 200

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert httpx.get(f"{service.ops_url}/live").status_code == 200
        wait_for(lambda: len(lines(service, "request")) == requests)
        dropped = sample(service.ops_url, "messaging_console_dropped_total")
        assert dropped is not None
        assert dropped > 100
        os.kill(service.workers()[0], signal.SIGKILL)  # the supervisor writes to this console, too
        wait_for(lambda: lines(service, "process_ended"))
        if kind is stopped_terminal:
            termios.tcflow(writer, termios.TCOON)
        reading = threading.Thread(target=read_all, args=(reader, told))
        reading.start()
        wait_for(lambda: answers(service.url) and b'"event":"console_dropped"' in told)
        assert service.stop() == 0
        os.close(writer)
        reading.join()
        os.close(reader)


@pytest.mark.parametrize("ignored", [False, True])
def test_hang_up_of_its_terminal_stops_the_service(tmp_path: Path, ignored: bool) -> None:  # noqa: FBT001 a parameter
    """A service whose terminal is closed ends as with SIGTERM; with `nohup` it goes on."""
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)

    options = ["--port", "0", "--ops-port", "0", "--store", sqlite(tmp_path), "--log-dir", str(tmp_path), *NO_LIMITS]
    process = subprocess.Popen(
        [COMMAND, "serve", *options],
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 a terminal of its own can be had in no other way
    )
    log = tmp_path / "messaging_api.log"
    try:
        wait_for(lambda: log.exists() and len(children(process.pid)) > 1)
        os.close(slave)
        os.close(master)
        if ignored:
            os.kill(children(process.pid)[0], signal.SIGKILL)
            wait_for(lambda: '"event":"process_ended"' in log.read_text())
            assert process.poll() is None
            process.terminate()
        assert process.wait(40) == 0
        assert '"event":"stopped"' in log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
