"""The command `send`."""

import json
import re
import sys
from pathlib import Path

import rich_click as click

from messaging_api.cli.exit_codes import EXIT_CODES_HELP, handle_errors
from messaging_api.cli.options import connect, connection_options, password_file
from messaging_api.cli.terminal import Spinner, print_details, prompt_new_password, read_password_file
from messaging_api.client import Sent
from messaging_api.settings.client import client_settings, config_path

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MAX_MESSAGE_BYTES = 16 * 2**20
"""No server can be configured to accept longer messages."""


class _Lifetime(click.ParamType[int]):
    name = "lifetime"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch("([0-9]{1,9})([smhdw]?)", str(value), re.ASCII)
        if not found:
            self.fail("A lifetime is written like 90, 90s, 5m, 1h, 7d or 2w.", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--to", "server", metavar="URL", help="Send to this server. Default: the server in the config file.")
@click.option("--ttl", type=_Lifetime(), metavar="1h", help="Lifetime: 90s, 5m, 1h or 7d. Default: the server's.")
@click.option("--reads", type=click.IntRange(1, 1000), metavar="1", help="Number of reads, 1-1000. Default: unlimited.")
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
    ca: str | None,
    wait: str | None,
    verbose: bool,
) -> None:
    """Send FILE, or standard input, and print the link to it.

    The message is encrypted on this machine. Its key is in the link, after the #, so the server sees neither the key
    nor the message. The link of the receipt, which you should keep for yourself, is printed on standard error if that
    is a terminal.
    """
    if plain and (password or password_file):
        raise click.UsageError("--plain cannot be combined with a password.")
    settings = client_settings({"server": server, "token_file": token_file, "ca": ca, "wait": wait})
    if settings.server is None:
        raise click.UsageError(f'No server is set. Use --to URL, or write server = "URL" to {config_path()}.')
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
        with file.open("rb") as stream:
            raw = stream.read(_MAX_MESSAGE_BYTES + 1)
    if not raw:
        raise click.UsageError("The message is empty.")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise click.UsageError("The message is not UTF-8 text. Encode other data, for example with base64.") from None


def _json(sent: Sent, *, encrypted: bool, password: bool) -> str:
    links = {"link": sent.link, "receipt": sent.receipt}
    fields = {"expires_at": sent.expires_at.isoformat(), "reads": sent.reads}
    return json.dumps({**links, **fields, "encrypted": encrypted, "password": password})
