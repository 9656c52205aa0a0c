"""The command `send`."""

import json
import re
import sys
from pathlib import Path
from typing import Unpack

import rich_click as click

from messaging_api.cli.exit_codes import EXIT_CODES_HELP, handle_errors
from messaging_api.cli.options import ConnectionOptions, connect, connection_options, load_settings, password_file
from messaging_api.cli.terminal import Spinner, print_details, prompt_new_password, read_password_file
from messaging_api.client import Sent, TooLong
from messaging_api.client.durations import parse_duration
from messaging_api.settings.client import config_path

_MAX_MESSAGE_BYTES = 16 * 2**20
"""No server can be configured to accept longer messages."""


class _Lifetime(click.ParamType[int]):
    name = "lifetime"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_duration(str(value))
        except ValueError as error:
            return self.fail(f"{error}.", param, ctx)


class _Reads(click.ParamType[int]):
    name = "reads"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not re.fullmatch("[0-9]{1,4}", str(value), re.ASCII) or not 1 <= int(str(value)) <= 1000:
            self.fail("it must be a number from 1 to 1000.", param, ctx)
        return int(str(value))


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--to",
    "server",
    metavar="SERVER",
    help="Host or address of the server. Default: the one in the config file.",
)
@click.option("--ttl", type=_Lifetime(), metavar="DURATION", help="Lifetime: 90s, 5m, 1h or 7d. Default: the server's.")
@click.option("--reads", type=_Reads(), metavar="NUMBER", help="Number of reads, 1-1000. Default: unlimited.")
@click.option("--password", is_flag=True, help="Ask for a password that readers need in addition to the link.")
@password_file
@click.option("--plain", is_flag=True, help="Do not encrypt. The server sees the message, and curl can read it.")
@click.option("--token-file", metavar="FILE", help="Read the token that the server requires from this file.")
@connection_options
@handle_errors
def send(  # noqa: PLR0913 one for each option
    *,
    file: Path,
    server: str | None,
    ttl: int | None,
    reads: int | None,
    password: bool,
    password_file: Path | None,
    plain: bool,
    token_file: str | None,
    as_json: bool,
    verbose: bool,
    **connection: Unpack[ConnectionOptions],
) -> None:
    """Send FILE, or standard input, and print the link to it.

    The message is encrypted on this machine. Its key is in the link, after the #, so the server sees neither the key
    nor the message. The link of the receipt, which you should keep for yourself, is printed on standard error if that
    is a terminal.
    """
    if plain and (password or password_file):
        raise click.UsageError("--plain cannot be combined with a password.")
    settings = load_settings(connection, server, token_file)
    if settings.server is None:
        raise click.UsageError(f'No server is set. Use --to SERVER, or write server = "SERVER" to {config_path()}.')
    text = _read_text(file)
    secret = read_password_file(password_file) if password_file else prompt_new_password() if password else None
    with Spinner("Sending …") as spinner, connect(settings, spinner) as client:
        sent = client.send(text, ttl=ttl, reads=reads, password=secret, encrypt=not plain)
    click.echo(_json(sent, encrypted=not plain, password=secret is not None) if as_json else sent.link)
    print_details(
        f"Expires  {sent.expires_at:%Y-%m-%d %H:%M} UTC",
        f"Reads    {sent.reads or 'unlimited'}",
        f"Receipt  {sent.receipt}",
        "         (keep it for yourself; `messaging-api receipt` and `burn` take it)",
        verbose=verbose,
    )


def _read_text(file: Path) -> str:
    if str(file) == "-":
        if sys.stdin.isatty():
            click.echo("Type the message. End it with Ctrl-D on a line of its own.", err=True)
        raw = sys.stdin.buffer.read(_MAX_MESSAGE_BYTES + 1)
    else:
        raw = _read_file(file)
    if not raw:
        raise click.UsageError("The message is empty.")
    if len(raw) > _MAX_MESSAGE_BYTES:
        raise TooLong("The text is longer than 16 MiB, more than any server accepts.")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise click.UsageError("The message is not UTF-8 text. Encode other data, for example with base64.") from None


def _read_file(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_MESSAGE_BYTES + 1)
    except FileNotFoundError as error:
        hint = "No such file. To send a text, pipe it: echo TEXT | messaging-api send"
        raise FileNotFoundError(error.errno, hint, str(file)) from None


def _json(sent: Sent, *, encrypted: bool, password: bool) -> str:
    links = {"link": sent.link, "receipt": sent.receipt}
    fields = {"expires_at": sent.expires_at.isoformat(), "reads": sent.reads}
    return json.dumps({**links, **fields, "encrypted": encrypted, "password": password})
