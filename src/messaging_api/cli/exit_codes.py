"""The one table from what goes wrong to the exit code of the command."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import rich_click as click

from messaging_api.cli.terminal import printable
from messaging_api.client import errors
from messaging_api.errors import SettingsError

P = ParamSpec("P")

UNEXPECTED, USAGE, NO_MESSAGE, CANNOT_OPEN, UNREACHABLE, REFUSED, INTERRUPTED, STOPPED = 1, 2, 3, 4, 5, 6, 7, 130

EXIT_CODES: dict[type[Exception], int] = {
    SettingsError: USAGE,
    errors.BadLink: USAGE,
    errors.NoMessage: NO_MESSAGE,
    errors.DecryptionFailed: CANNOT_OPEN,
    errors.Unreachable: UNREACHABLE,
    errors.ServerBusy: UNREACHABLE,
    errors.UnexpectedResponse: UNREACHABLE,
    errors.RequestRejected: REFUSED,
    errors.ReadInterrupted: INTERRUPTED,
    OSError: UNEXPECTED,
}
"""By the nearest class. What is not here is a mistake of ours and shows its traceback."""

MEANINGS = {
    0: "done",
    UNEXPECTED: "something here went wrong, such as a full disk",
    USAGE: "the command, a setting or the link is wrong; nothing was asked of the server",
    NO_MESSAGE: "there is no message: never was, expired, read out or burned",
    CANNOT_OPEN: "it does not open: wrong password, key missing, damaged; if it could not be read again, it was kept",
    UNREACHABLE: "the server cannot be reached, is busy, or is not messaging_api",
    REFUSED: "the server refused: too long, no token, beyond its limits",
    INTERRUPTED: "the connection broke while the message was handed over: a read may be spent",
    STOPPED: "stopped by Ctrl-C",
}
"""For the help and the documents."""


def handle_errors(command: Callable[P, None]) -> Callable[P, None]:
    """The command, with what it raises turned into its exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if None in (sys.stdin, sys.stdout):
            raise click.UsageError("Standard input and output must be open; /dev/null will do.")
        try:
            command(*args, **kwargs)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Stopped.", err=True)
            sys.exit(STOPPED)
        except tuple(EXIT_CODES) as error:
            code = next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
            click.echo(f"messaging-api: {printable(_told(error))}", err=True, nl=False)
            sys.exit(code)

    return run


def _told(error: Exception) -> str:
    """In words for the terminal; some are a server's, which may be anybody's."""
    if isinstance(error, OSError):
        return f"{error.filename or 'Output'}: {error.strerror}."
    text = str(error)
    if isinstance(error, errors.Unreachable):
        return f"The server cannot be reached: {text}."
    if isinstance(error, errors.ServerBusy) and error.retry_after:
        return f"{text} It asks to be left alone for {error.retry_after:.0f} s."
    return text
