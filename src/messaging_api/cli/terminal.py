"""Prompts and messages at a terminal. Standard output is for results only."""

import getpass
import os
import sys
from pathlib import Path
from threading import Timer
from typing import Self

import rich_click as click
from rich.console import Console
from rich.markup import escape

SPINNER_DELAY = 0.5
"""Seconds before a spinner appears."""
PASSWORD_ATTEMPTS = 3
"""How often a password is asked for."""


class Spinner:
    """A status line on the terminal while a block runs, if it takes long."""

    def __init__(self, text: str) -> None:
        self._status = Console(stderr=True).status(escape(text))
        self._timer = Timer(SPINNER_DELAY, self._status.start)

    def show_retry(self, seconds: float, reason: str) -> None:
        """Show that the next attempt follows in so many seconds."""
        self._status.update(f"{escape(reason.capitalize())}: trying again in {seconds:.0f} s")

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


def print_details(*lines: str, verbose: bool) -> None:
    """Print lines to standard error, if that is a terminal or if `verbose` is set."""
    if verbose or sys.stderr.isatty():
        for line in lines:
            click.echo(line, err=True)


def has_terminal() -> bool:
    """Return whether there is a terminal to prompt on, even if standard input is something else."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def prompt_hidden(prompt: str) -> str:
    """Prompt on the terminal and return what the user types, without showing it."""
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask for the password or link. Use --password-file or a pipe.")
    try:
        return getpass.getpass(prompt)
    except UnicodeDecodeError:
        raise click.UsageError("The input is not UTF-8.") from None


def prompt_new_password() -> str:
    """Prompt for a new password, twice, until both entries are the same."""
    for _ in range(PASSWORD_ATTEMPTS):
        password = prompt_hidden("Password: ")
        if password and password == prompt_hidden("The same again: "):
            return password
        click.echo("The passwords are empty or differ. Try again.", err=True)
    raise click.UsageError("No password was chosen.")


def read_password_file(path: Path) -> str:
    """Return the password in a file: its whole content except one line ending at the end."""
    try:
        password = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise click.UsageError("The password file is not UTF-8.") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if not password:
        raise click.UsageError("The password file is empty.")
    return password


def printable(text: str) -> str:
    """Replace control characters, which could act on the terminal, by visible symbols. End with a line ending."""
    text = text.replace("\r\n", "\n")
    visible = text.translate(_SYMBOLS)
    return visible if visible.endswith("\n") else visible + "\n"


_SYMBOLS = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
"""Unicode has symbols for C0 controls and DEL, but none for C1 controls."""
