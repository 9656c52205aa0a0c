"""Where a message goes, and where it is kept when it cannot go there: it may be the only copy."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Self

import platformdirs
import rich_click as click

from messaging_api.client import Message


class Output:
    """Standard output, or a new file for its owner alone, made before anything is spent; gone again if that fails."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = sys.stdout.buffer

    @property
    def on_terminal(self) -> bool:
        """Whether somebody sees it as it is written."""
        return self._path is None and sys.stdout.isatty()

    def write(self, text: str) -> None:
        """All of it, or OSError."""
        self._file.write(text.encode())
        self._file.flush()

    def __enter__(self) -> Self:
        if self._path is not None:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(handle, "wb")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._path is None:
            return
        with suppress(OSError):
            self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)


@contextmanager
def save_on_failure(message: Message) -> Iterator[None]:
    """If its block fails, put the message, as it came, where it can be opened later.

    One with any number of reads needs no such file: it can be read again.
    """
    before = {number: signal.signal(number, _exit_on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except BaseException:
        if message.reads_left is not None:
            _save(message.text)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    """A closed terminal must not lose the message either."""
    sys.exit(128 + number)


def _save(text: str) -> None:
    for folder in (platformdirs.user_state_path("messaging_api"), Path.cwd()):
        with suppress(OSError):
            name = _write(folder, text)
            click.echo(f"The message is kept, as it came. Later: messaging-api read --envelope {name} LINK", err=True)
            return
    click.echo(f"The message could not be kept in a file. This is it, as it came:\n{text}", err=True)


def _write(folder: Path, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(".envelope", "message-", folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
    except OSError:
        Path(name).unlink()
        raise
    return name
