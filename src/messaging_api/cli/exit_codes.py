"""The exit codes of the commands `send`, `read`, `receipt` and `burn`, and the errors that lead to them."""

import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import ParamSpec, Self

import rich_click as click

from messaging_api.cli.output import flush
from messaging_api.cli.terminal import printable
from messaging_api.client import errors
from messaging_api.errors import SettingsError

P = ParamSpec("P")


class ExitCode(IntEnum):
    """Exit codes. Their meanings are shown in the help and in docs/command-line.md."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member from its number and meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    SUCCESS = 0, "Success."
    LOCAL_ERROR = 1, "An error on this machine, such as a full disk."
    USAGE = 2, "The command, a setting or the link is wrong. No request was sent."
    NO_MESSAGE = 3, "There is no message: it never existed, expired, was read or was burned."
    DECRYPTION_FAILED = 4, "The message cannot be decrypted. It was saved if it cannot be read again."
    SERVER_UNAVAILABLE = 5, "The server cannot be reached, is busy, or is not messaging_api."
    REJECTED = 6, "The server rejected the request: too long, no token, or beyond its limits."
    READ_INTERRUPTED = 7, "The connection broke during a read, which may have spent a read."
    STOPPED = 130, "Stopped by Ctrl-C."


EXIT_CODES: dict[type[Exception], ExitCode] = {
    SettingsError: ExitCode.USAGE,
    click.UsageError: ExitCode.USAGE,
    errors.BadLink: ExitCode.USAGE,
    errors.BadProxy: ExitCode.USAGE,
    errors.NoMessage: ExitCode.NO_MESSAGE,
    errors.DecryptionFailed: ExitCode.DECRYPTION_FAILED,
    errors.Unreachable: ExitCode.SERVER_UNAVAILABLE,
    errors.ServerBusy: ExitCode.SERVER_UNAVAILABLE,
    errors.UnexpectedResponse: ExitCode.SERVER_UNAVAILABLE,
    errors.RequestRejected: ExitCode.REJECTED,
    errors.ReadInterrupted: ExitCode.READ_INTERRUPTED,
    OSError: ExitCode.LOCAL_ERROR,
}
"""The nearest base class of an error decides. Any other error is a bug and shows its traceback."""

EXIT_CODES_HELP = "\n\n".join(["Exit codes:", *(f"{code:<4}{code.meaning}" for code in ExitCode)])
"""The end of the help of each command. rich_click shows each paragraph on a line of its own."""


def handle_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command print its errors and exit with their codes."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if None in (sys.stdin, sys.stdout):
                raise click.UsageError("Standard input and output must be open. Use /dev/null if you do not need them.")
            command(*args, **kwargs)
            flush(sys.stdout.buffer)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Stopped.", err=True)
            sys.exit(ExitCode.STOPPED)
        except tuple(EXIT_CODES) as error:
            code = next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
            click.echo(f"messaging-api: {printable(_describe(error))}", err=True, nl=False)
            sys.exit(code)

    return run


def _describe(error: Exception) -> str:
    """Return the text for the user. It may be a server's, so it must not reach the terminal as it is."""
    if isinstance(error, OSError):
        return f"{error.filename or 'Output'}: {error.strerror}."
    text = error.format_message() if isinstance(error, click.UsageError) else str(error)
    if isinstance(error, errors.Unreachable):
        return f"The server cannot be reached: {text}."
    if isinstance(error, errors.ServerBusy) and error.retry_after:
        return f"{text} The server asks to wait {error.retry_after:.0f} s before the next attempt."
    return text
