"""The command `read`."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Unpack

import rich_click as click

from messaging_api.cli.exit_codes import EXIT_CODES_HELP, handle_errors
from messaging_api.cli.options import ConnectionOptions, connect, connection_options, load_settings, password_file
from messaging_api.cli.output import Output
from messaging_api.cli.recovery import save_on_failure
from messaging_api.cli.terminal import (
    PASSWORD_ATTEMPTS,
    Spinner,
    has_terminal,
    print_details,
    printable,
    prompt_hidden,
    read_password_file,
)
from messaging_api.client import Damaged, DecryptionFailed, Key, Link, PasswordMissing, WrongPassword, decrypt
from messaging_api.client.link_search import MAX_TEXT

_MAX_LINK_BYTES = 4 * MAX_TEXT


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("link", default="-")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write to a new file that only you can read.")
@password_file
@click.option("--envelope", type=click.Path(path_type=Path), help="Open a saved message; do not contact the server.")
@connection_options
@handle_errors
def read(  # noqa: PLR0913 one for each option
    *,
    link: str,
    output: Path | None,
    password_file: Path | None,
    envelope: Path | None,
    as_json: bool,
    verbose: bool,
    **connection: Unpack[ConnectionOptions],
) -> None:
    """Read the message at LINK and write it unchanged to standard output.

    The link contains the key, and other users of this machine can see command lines. If LINK is - or missing, it is
    read from standard input, which may be a whole mail with the link in it; at a terminal you are asked for it. If a
    password is required, you are asked for it before the message is fetched. A message that was fetched but cannot be
    decrypted is saved to a file, encrypted.
    """
    parsed = Link.parse(read_link(link), "msg")
    passwords = PasswordSource(password_file)
    password = passwords.first() if parsed.key and parsed.key.password else None
    with Output(output) as out:
        if envelope:
            saved = envelope.read_bytes().decode(errors="replace")
            _write(out, decrypt_with_retries(saved, parsed.key, password, passwords), {}, as_json=as_json)
            return
        settings = load_settings(connection, parsed.server)
        with Spinner("Reading …") as spinner, connect(settings, spinner) as client:
            message = client.fetch(parsed.address)
        with save_on_failure(message):
            text = decrypt_with_retries(message.text, parsed.key, password, passwords)
            facts = {name: value for name, value in asdict(message).items() if name != "text"}
            _write(out, text, facts, as_json=as_json)
    print_details(*_details(facts), verbose=verbose)


def read_link(argument: str) -> str:
    """Return the link from the command line, from standard input, or from a prompt."""
    if argument != "-":
        return argument
    if sys.stdin.isatty():
        return prompt_hidden("Link: ")
    return sys.stdin.buffer.read(_MAX_LINK_BYTES).decode(errors="replace")


def decrypt_with_retries(envelope: str, key: Key | None, password: str | None, passwords: "PasswordSource") -> str:
    """Decrypt an envelope, trying further passwords while that can help. Raise DecryptionFailed."""
    while True:
        try:
            with Spinner("Decrypting …"):
                return decrypt(envelope, key, password)
        except (PasswordMissing, WrongPassword) as error:
            password = passwords.next(error)


class PasswordSource:
    """The source of passwords: a file, or the user at a terminal, who may mistype it."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._prompts = 0

    def first(self) -> str:
        """Return the password to try first."""
        return read_password_file(self._file) if self._file else self._prompt()

    def next(self, error: DecryptionFailed) -> str:
        """Return the password to try after `error`. Raise `error` if there is none or if none would help."""
        if isinstance(error, PasswordMissing) and self._file:
            return read_password_file(self._file)
        if isinstance(error, Damaged) or self._prompts == PASSWORD_ATTEMPTS or not has_terminal():
            raise error
        click.echo(str(error), err=True)
        return self._prompt()

    def _prompt(self) -> str:
        self._prompts += 1
        return prompt_hidden("Password: ")


def _write(out: Output, text: str, facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        out.write(json.dumps({"message": text, **facts}, default=datetime.isoformat) + "\n")
    else:
        out.write(printable(text) if out.on_terminal else text)


def _details(facts: dict[str, object]) -> list[str]:
    """Return a line for each fact that is known, except for the expiry."""
    shown = {name: value for name, value in facts.items() if name != "expires_at" and value is not None}
    lines = (f"{name.replace('_', ' ').capitalize()}: {value}." for name, value in shown.items())
    return [printable(line).rstrip("\n") for line in lines]
