"""The command `read`: one message, which may be its only copy."""

import json
import sys
from pathlib import Path

import rich_click as click

from messaging_api.cli.exit_codes import handle_errors
from messaging_api.cli.options import connect, connection_options, password_file
from messaging_api.cli.output import Output, save_on_failure
from messaging_api.cli.terminal import Spinner, ask_hidden, has_terminal, notes, printable, read_password_file
from messaging_api.client import Damaged, DecryptionFailed, Key, Link, Message, PasswordMissing, WrongPassword, decrypt
from messaging_api.settings.client import client_settings

_TRIES = 3
_LONGEST = 4096
"""Bytes of a link."""


@click.command()
@click.argument("link", default="-")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to this file, a new one for you alone.")
@password_file
@click.option("--envelope", type=click.Path(path_type=Path), help="Open what an earlier read kept; asks no server.")
@connection_options
@handle_errors
def read(  # noqa: PLR0913 one for each option
    *,
    link: str,
    output: Path | None,
    password_file: Path | None,
    envelope: Path | None,
    as_json: bool,
    ca: str | None,
    wait: str | None,
    verbose: bool,
) -> None:
    """Read the message at LINK and write it, byte for byte, to standard output.

    The link holds the key, and who lists the processes of this machine sees what is on a command line: without LINK, or
    with -, it is read from standard input, or asked for. A password is asked for before the message is fetched. What
    was handed over and does not open is kept in a file, still encrypted.
    """
    parsed = Link.parse(read_link(link), "msg")
    passwords = PasswordSource(password_file)
    first = passwords.first() if parsed.key and parsed.key.password else None
    with Output(output) as out:
        if envelope:
            text = decrypt_with_retries(envelope.read_bytes().decode(errors="replace"), parsed.key, first, passwords)
            _write(out, text, {}, as_json=as_json)
            return
        settings = client_settings({"ca": ca, "wait": wait})
        with Spinner("Reading …") as progress, connect(settings, progress) as client:
            fetched = client.fetch(parsed.address)
        with save_on_failure(fetched):
            text = decrypt_with_retries(fetched.text, parsed.key, first, passwords)
            _write(out, text, _facts(fetched), as_json=as_json)
    if fetched.reads_left is not None:
        notes(verbose=verbose)(f"Reads left: {fetched.reads_left}.")


def read_link(argument: str) -> str:
    """A link from the command line, from standard input, or typed."""
    if argument != "-":
        return argument
    return (
        ask_hidden("Link: ") if sys.stdin.isatty() else sys.stdin.buffer.readline(_LONGEST).decode("ascii", "replace")
    )


def decrypt_with_retries(text: str, key: Key | None, password: str | None, passwords: "PasswordSource") -> str:
    """The text in an envelope, asking for the password as often as that may help."""
    while True:
        try:
            with Spinner("Decrypting …"):
                return decrypt(text, key, password)
        except (PasswordMissing, WrongPassword) as error:
            password = passwords.another(error)


class PasswordSource:
    """Where the password comes from: a file, or somebody at a terminal, who may mistype it twice."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._asked = 0

    def first(self) -> str:
        """The password, before anything is fetched."""
        return read_password_file(self._file) if self._file else self._ask()

    def another(self, error: DecryptionFailed) -> str:
        """The next to try. Raises `error` when nobody knows one, or none would help."""
        if isinstance(error, PasswordMissing) and self._file:
            return read_password_file(self._file)
        if isinstance(error, Damaged) or self._asked == _TRIES or not has_terminal():
            raise error
        click.echo(str(error), err=True)
        return self._ask()

    def _ask(self) -> str:
        self._asked += 1
        return ask_hidden("Password: ")


def _write(out: Output, text: str, facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        out.write(json.dumps({"message": text, **facts}) + "\n")
    else:
        out.write(printable(text) if out.on_terminal else text)


def _facts(message: Message) -> dict[str, object]:
    return {"expires_at": message.expires_at.isoformat(), "reads_left": message.reads_left}
