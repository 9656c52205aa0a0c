"""Commands at a terminal of their own, where their prompts are answered."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.service import COMMAND


class Ran(NamedTuple):
    """The result of a command. `screen` is what its terminal showed, including standard error."""

    code: int
    out: bytes
    screen: str


CTRL_C = "\x03"


def at_terminal(
    arguments: Sequence[str],
    answers: Sequence[tuple[str, str | signal.Signals]] = (),
    *,
    stdin: bytes | None = None,
    out: bool = False,
    env: Mapping[str, str],
) -> Ran:
    """Run the command with a terminal; type each answer, or send that signal, once its question is shown.

    `stdin` is piped in if given, else the terminal; standard output is caught apart unless `out` puts it on the screen.
    """
    master, slave = pty.openpty()

    def take_terminal() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [COMMAND, *arguments],
        stdin=subprocess.PIPE if stdin is not None else slave,
        stdout=slave if out else subprocess.PIPE,
        stderr=slave,
        env={**env, "TERM": "xterm"},
        preexec_fn=take_terminal,  # noqa: PLW1509 a terminal of its own can be had in no other way
    )
    os.close(slave)
    screen = Screen(master)
    try:
        if stdin is not None and process.stdin:
            process.stdin.write(stdin)
            process.stdin.close()
        for question, reply in answers:
            screen.wait_for(question)
            if isinstance(reply, signal.Signals):
                process.send_signal(reply)
            else:
                os.write(master, reply.encode() + (b"" if reply == CTRL_C else b"\n"))
        screen.wait_for(None, _insist(process, answers))
        given = process.stdout.read() if process.stdout else b""
        return Ran(process.wait(10), given, screen.text)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
        os.close(master)


def _insist(
    process: subprocess.Popen[bytes], answers: Sequence[tuple[str, str | signal.Signals]]
) -> Callable[[], None]:
    """Sends the last answer again if it was a signal: one that comes between prompt and read is seen after the read."""
    last = {CTRL_C: signal.SIGINT}.get(str(answers[-1][1]), answers[-1][1]) if answers else None
    return lambda: process.send_signal(last) if isinstance(last, signal.Signals) else None


class Screen:
    """The output to a terminal, read as it arrives."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._raw = b""
        self._seen = 0

    @property
    def text(self) -> str:
        return self._raw.decode(errors="replace")

    def wait_for(self, question: str | None, nudge: Callable[[], None] = lambda: None) -> None:
        """Until `question` shows up after what was waited for before; None: until the terminal is let go.

        `nudge` is called for each second in which nothing shows up.
        """
        deadline = time.monotonic() + 30
        while question is None or question not in self.text[self._seen :]:
            assert time.monotonic() < deadline, f"not on the screen: {question}\n{self.text}"
            ready, _, _ = select.select([self._master], [], [], 1)
            if not ready:
                nudge()
                continue
            chunk = b""
            with contextlib.suppress(OSError):  # EIO: nobody has it open any more
                chunk = os.read(self._master, 65_536)
            if not chunk:
                assert question is None, f"it ended without asking: {question}\n{self.text}"
                return
            self._raw += chunk
        self._seen = self.text.index(question, self._seen) + len(question)


def home(folder: Path) -> dict[str, str]:
    """An environment of its own: nobody's config, kept files in `folder`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MESSAGING_API", "XDG", "SSL"))}
    return {**kept, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
