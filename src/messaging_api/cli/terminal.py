"""People at a terminal: what they are asked and told. Standard output is for the result alone."""

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Self

import rich_click as click
from rich.console import Console
from rich.markup import escape

SPINNER_DELAY = 0.5
"""Seconds before something is said to take long."""


class Spinner:
    """Within its block, says on a terminal what takes long."""

    def __init__(self, what: str) -> None:
        self._status = Console(stderr=True).status(escape(what))
        self._timer = Timer(SPINNER_DELAY, self._status.start)

    def waiting(self, seconds: float, why: str) -> None:
        """There is a pause before another try."""
        self._status.update(f"{escape(why.capitalize())}: trying again in {seconds:.0f} s")

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        self._status.stop()


def notes(*, verbose: bool) -> Callable[[str], None]:
    """What tells a line besides the result: to a terminal, or when it was asked for."""
    return _note if verbose or sys.stderr.isatty() else _nothing


def _note(line: str) -> None:
    click.echo(line, err=True)


def _nothing(_line: str) -> None:
    pass


def has_terminal() -> bool:
    """Whether there is somebody to ask, whatever standard input is connected to."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def ask_hidden(prompt: str) -> str:
    """What is typed at the terminal, without showing it."""
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask on: use --password-file.")
    try:
        return getpass.getpass(prompt)
    except UnicodeDecodeError:
        raise click.UsageError("What was typed is not UTF-8.") from None


def new_password() -> str:
    """A password typed twice."""
    for _ in range(3):
        password = ask_hidden("Password: ")
        if password and password == ask_hidden("The same again: "):
            return password
        click.echo("They differ, or there was none. Once more.", err=True)
    raise click.UsageError("No password was chosen.")


def read_password_file(path: Path) -> str:
    """The password in a file: all of it but its last line end."""
    try:
        password = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise click.UsageError("The password file is not UTF-8.") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if not password:
        raise click.UsageError("The password file is empty.")
    return password


def printable(text: str) -> str:
    """`text` as a terminal may show it: control characters, which could act on it, as pictures of themselves."""
    text = text.replace("\r\n", "\n")
    visible = text.translate(_PICTURES)
    return visible if visible.endswith("\n") else visible + "\n"


_PICTURES = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
"""C0 controls and DEL have pictures in Unicode; C1 controls have none."""
