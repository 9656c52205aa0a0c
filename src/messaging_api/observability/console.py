"""The console, which never makes a process wait: lines are dropped while nobody reads it.

A write to a pipe or a terminal that nobody reads would block. Its descriptor cannot be made non-blocking, because that
flag belongs to the open file, which other programs share, such as the shell. So it is opened once more, which gives an
open file of its own. That fails for a socket, and for a pipe of another user: then `poll` is asked before each write.
"""

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from functools import partial

Send = Callable[[bytes], int]


class Console:
    """The console at a file descriptor.

    `describe` makes a line about the number of lines that were dropped, which takes their place. `on_dropped` is called
    with each such number.
    """

    def __init__(
        self, descriptor: int, describe: Callable[[int], bytes], on_dropped: Callable[[int], None] = lambda _: None
    ) -> None:
        self._send, self._part_size = _sender(descriptor)
        self._describe = describe
        self._on_dropped = on_dropped
        self._dropped = 0
        self._cut = b""

    def write(self, lines: bytes) -> None:
        """Write whole lines as far as the console takes them at once, and drop the others."""
        if self._dropped and self._write(self._describe(self._dropped)):
            self._dropped = 0
        for part in (lines,) if len(lines) <= self._part_size else _split(lines, self._part_size):
            if self._dropped or not self._write(part):
                number = part.count(b"\n")
                self._dropped += number
                self._on_dropped(number)

    def _write(self, part: bytes) -> bool:
        """Finish a line that was cut, then write `part`. Return False if `part` was not begun."""
        try:
            if self._cut:
                self._cut = self._cut[self._send(self._cut) :]
            if not self._cut:
                self._cut = part[self._send(part) :]
                return True
        except OSError:  # it is full, or it was closed
            pass
        return False


def _split(lines: bytes, size: int) -> Iterator[bytes]:
    """Yield parts of whole lines of at most `size` bytes; a line that is longer is a part of its own."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + size) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end


def _sender(descriptor: int) -> tuple[Send, int]:
    """Return a function that writes what it can without waiting, and how many bytes it writes as a whole.

    A pipe takes up to PIPE_BUF bytes as a whole or not at all (POSIX, write), so that the lines of several processes do
    not mix. The function returns the number of bytes that it wrote, or raises OSError.
    """
    try:
        kind = os.fstat(descriptor).st_mode
    except OSError:  # there is no console
        return partial(os.write, descriptor), sys.maxsize
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)):
        return partial(os.write, descriptor), sys.maxsize
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return partial(_write_if_ready, descriptor), select.PIPE_BUF
    return partial(os.write, own), select.PIPE_BUF


def _write_if_ready(descriptor: int, data: bytes) -> int:
    """Write if the descriptor takes PIPE_BUF bytes now.

    It waits only if another process fills the pipe between the question and the write.
    A socket has more room than that.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(descriptor, data[: select.PIPE_BUF])
