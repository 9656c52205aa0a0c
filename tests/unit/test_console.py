"""A console that nobody reads drops lines and stops nothing: pipes, sockets and terminals."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from messaging_api.observability.console import Console
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.rotating_file import NAME, DailyFile

LINE = b"x" * 99 + b"\n"


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Yield the ends of a pipe: for the reader and for the console."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@contextlib.contextmanager
def sockets() -> Iterator[tuple[int, int]]:
    """Yield the ends of a connection, as systemd gives them."""
    reader, console = socket.socketpair()
    with reader, console:
        yield reader.fileno(), console.fileno()


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Yield the ends of a terminal whose output was stopped, as Ctrl-S does."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        yield master, slave
    finally:
        os.close(master)
        os.close(slave)


@contextlib.contextmanager
def foreign_pipe() -> Iterator[tuple[int, int]]:
    """Yield the ends of a pipe that may not be opened once more, as one of another user (a stand-in)."""
    with pytest.MonkeyPatch.context() as patch, pipe() as ends:

        def refuse(*_: object) -> int:
            raise PermissionError

        patch.setattr(os, "open", refuse)
        yield ends


KINDS = [pipe, sockets, terminal, foreign_pipe]


def drained(reader: int) -> bytes:
    """Return what waits to be read."""
    os.set_blocking(reader, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(reader, 65_536):
            data += chunk
    return data


def blocked(*_: object) -> None:
    """Fail: the alarm rings when a write has blocked."""
    raise AssertionError("a write to the console blocked")


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """End a test whose write blocks."""
    before = signal.signal(signal.SIGALRM, blocked)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_dropped_and_counted(kind: Any) -> None:
    """Every line is written whole or dropped; where lines are missing, a line says how many."""
    dropped: list[int] = []
    with kind() as (reader, descriptor):
        console = Console(descriptor, b"%d missing\n".__mod__, dropped.append)
        for _ in range(100):
            console.write(LINE * 100)
        arrived = drained(reader)
        console.write(b"last\n")
        arrived += drained(reader)
    lines = arrived.splitlines(keepends=True)
    told = [int(line.split()[0]) for line in lines if b"missing" in line]
    assert lines[-2:] == [b"%d missing\n" % told[-1], b"last\n"]
    assert set(lines) == {LINE, b"last\n", *(b"%d missing\n" % number for number in told)}
    assert sum(told) == sum(dropped) > 0
    assert lines.count(LINE) + sum(dropped) == 10_000


def test_stopped_terminal_drops_lines() -> None:
    """After Ctrl-S lines are dropped, after Ctrl-Q they are shown."""
    with terminal() as (master, slave):
        termios.tcflow(slave, termios.TCOOFF)
        console = Console(slave, b"%d missing\n".__mod__)
        console.write(LINE)
        assert drained(master) == b""
        termios.tcflow(slave, termios.TCOON)
        console.write(b"last\n")
        assert drained(master) == b"1 missing\nlast\n"


@pytest.mark.parametrize("kind", [pipe, terminal])
def test_flags_of_the_shared_descriptor_stay(kind: Any) -> None:
    """Other programs with the same open file, such as the shell, go on to write as before."""
    with kind() as (_, descriptor):
        before = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        Console(descriptor, b"%d missing\n".__mod__).write(LINE)
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) == before


def test_closed_console_is_no_error() -> None:
    """A console whose reader has gone, or that never was, drops lines."""
    dropped: list[int] = []
    reader, descriptor = os.pipe()
    console = Console(descriptor, b"%d missing\n".__mod__, dropped.append)
    os.close(reader)
    console.write(LINE * 2)
    os.close(descriptor)
    Console(descriptor, b"%d missing\n".__mod__, dropped.append).write(LINE)
    assert dropped == [2, 1]


def test_file_is_written_in_one_piece(tmp_path: Path) -> None:
    """A regular file takes all lines, and is appended to."""
    path = tmp_path / "console.txt"
    path.write_bytes(b"first\n")
    with path.open("ab") as file:
        Console(file.fileno(), b"%d missing\n".__mod__).write(LINE * 1000)
    assert path.read_bytes() == b"first\n" + LINE * 1000


def test_long_line_is_finished_later() -> None:
    """A line that is longer than what a pipe takes as a whole is cut, and its rest comes first."""
    with pipe() as (reader, descriptor):
        console = Console(descriptor, b"%d missing\n".__mod__)
        long = b"y" * 100_000 + b"\n"
        console.write(long)
        console.write(LINE)
        arrived = drained(reader)
        console.write(b"last\n")
        arrived += drained(reader)
    assert arrived == long + b"1 missing\nlast\n"


def test_lines_of_several_processes_do_not_mix() -> None:
    """Processes that share a pipe, which is read slowly, do not wait for each other and write whole lines."""
    with pipe() as (reader, descriptor):
        letters = [b"a", b"b", b"c"]
        code = "import sys; from messaging_api.observability.console import Console\n"
        code += "console = Console(2, b'%d missing\\n'.__mod__)\n"
        code += "for _ in range(2000): console.write((sys.argv[1].encode() * 99 + b'\\n') * 3)"
        processes = [subprocess.Popen([sys.executable, "-c", code, one.decode()], stderr=descriptor) for one in letters]
        arrived = b""
        while any(process.poll() is None for process in processes):
            with contextlib.suppress(BlockingIOError):
                os.set_blocking(reader, False)
                arrived += os.read(reader, 5000)
        arrived += drained(reader)
    assert [process.returncode for process in processes] == [0, 0, 0]
    lines = {line for line in arrived.splitlines() if b"missing" not in line}
    assert lines
    assert lines <= {letter * 99 for letter in letters}


def test_log_file_has_all_lines(tmp_path: Path) -> None:
    """What the console drops is in the file; the callback and a line on the console tell how much was dropped."""
    dropped: list[int] = []
    with pipe() as (reader, descriptor):
        logger = JsonLogger(DailyFile(str(tmp_path), 400), descriptor, on_dropped=dropped.append)
        for n in range(5000):
            logger.event("one", n=n)
        drained(reader)
        logger.event("last")
        told = [json.loads(line) for line in drained(reader).splitlines()]
    assert len((tmp_path / NAME).read_text().splitlines()) == 5001
    assert [line["event"] for line in told] == ["console_dropped", "last"]
    assert told[0]["count"] == sum(dropped) > 0
