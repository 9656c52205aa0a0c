"""The command `send`."""

import json
import re
import sys
from pathlib import Path

import rich_click as click

from messaging_api.cli.exit_codes import handle_errors
from messaging_api.cli.options import connect, connection_options, password_file
from messaging_api.cli.terminal import Spinner, new_password, notes, read_password_file
from messaging_api.client import Sent
from messaging_api.settings.client import client_settings, config_path

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 16 * 2**20
"""Bytes; no service keeps longer messages."""


class _Life(click.ParamType[int]):
    name = "life"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch("([0-9]{1,9})([smhdw]?)", str(value), re.ASCII)
        if not found:
            self.fail("A life looks like 90, 90s, 5m, 1h, 7d or 2w.", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--to", "server", metavar="URL", help="The server; the config file can name one.")
@click.option("--ttl", type=_Life(), metavar="1h", help="Life, as in 90s, 5m, 1h, 7d; without it, the server's.")
@click.option("--reads", type=click.IntRange(1, 1000), metavar="1", help="Readers, 1 to 1000; without it, any number.")
@click.option("--password", is_flag=True, help="Ask for a password that the reader will need besides the link.")
@password_file
@click.option("--plain", is_flag=True, help="Do not encrypt: the server sees the message, and curl can read it.")
@click.option("--token-file", metavar="FILE", help="Holds the token that lets you create there.")
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
    ca: str | None,
    wait: str | None,
    verbose: bool,
) -> None:
    """Send FILE, or standard input, and print the link to it.

    The message is encrypted here: its key is in the link behind the #, and the server sees neither key nor message.
    The receipt's link, for you alone, is told on standard error, if that is a terminal.
    """
    if plain and (password or password_file):
        raise click.UsageError("--plain and a password exclude each other.")
    settings = client_settings({"server": server, "token_file": token_file, "ca": ca, "wait": wait})
    if settings.server is None:
        raise click.UsageError(f'Send where? Give --to URL, or write server = "URL" to {config_path()}.')
    text = _text(file)
    secret = read_password_file(password_file) if password_file else new_password() if password else None
    with Spinner("Sending …") as progress, connect(settings, progress) as client:
        sent = client.send(text, ttl=ttl, reads=reads, password=secret, encrypt=not plain)
    click.echo(_json(sent, encrypted=not plain, password=secret is not None) if as_json else sent.link)
    _tell(sent, verbose=verbose)


def _text(file: Path) -> str:
    if str(file) == "-":
        if sys.stdin.isatty():
            click.echo("Type the message; Ctrl-D on a line of its own ends it.", err=True)
        raw = sys.stdin.buffer.read(_LONGEST + 1)
    else:
        with file.open("rb") as opened:
            raw = opened.read(_LONGEST + 1)
    if not raw:
        raise click.UsageError("The message is empty.")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise click.UsageError("The message is not UTF-8 text. Send other bytes encoded: base64 FILE.") from None


def _json(sent: Sent, *, encrypted: bool, password: bool) -> str:
    links = {"link": sent.link, "receipt": sent.receipt}
    facts = {"expires_at": sent.expires_at.isoformat(), "reads": sent.reads}
    return json.dumps({**links, **facts, "encrypted": encrypted, "password": password})


def _tell(sent: Sent, *, verbose: bool) -> None:
    tell = notes(verbose=verbose)
    tell(f"Expires  {sent.expires_at:%Y-%m-%d %H:%M} UTC")
    tell("Reads    any number" if sent.reads is None else f"Reads    {sent.reads}")
    tell(f"Receipt  {sent.receipt}")
    tell("         (for you alone: `messaging-api receipt` and `burn` take it)")
