"""The commands of a message's sender: receipt, burn."""

import json
from collections.abc import Callable

import rich_click as click

from messaging_api.cli.exit_codes import handle_errors
from messaging_api.cli.options import connect, connection_options
from messaging_api.cli.read import read_link
from messaging_api.cli.terminal import Spinner, notes
from messaging_api.client import Client, Receipt
from messaging_api.settings.client import client_settings


@click.command()
@click.argument("link", default="-")
@connection_options
@handle_errors
def receipt(*, link: str, as_json: bool, ca: str | None, wait: str | None, verbose: bool) -> None:
    """Print what became of the message whose receipt is at LINK.

    It is available, read (by all its readers), burned or expired. LINK may come from standard input, as in `read`.
    """
    found = _ask("Asking …", Client.receipt, read_link(link), {"ca": ca, "wait": wait})
    _print(found, as_json=as_json, verbose=verbose)


@click.command()
@click.argument("link", default="-")
@connection_options
@handle_errors
def burn(*, link: str, as_json: bool, ca: str | None, wait: str | None, verbose: bool) -> None:
    """Make the message unreadable now; LINK is that of its receipt.

    Prints what it is after that: burned; or, if that came too late, read or expired.
    """
    found = _ask("Burning …", Client.burn, read_link(link), {"ca": ca, "wait": wait})
    _print(found, as_json=as_json, verbose=verbose)


def _ask(what: str, call: Callable[[Client, str], Receipt], link: str, options: dict[str, str | None]) -> Receipt:
    with Spinner(what) as progress, connect(client_settings(options), progress) as client:
        return call(client, link)


def _print(receipt: Receipt, *, as_json: bool, verbose: bool) -> None:
    if as_json:
        facts = {"reads": receipt.reads, "reads_left": receipt.reads_left}
        click.echo(json.dumps({"state": receipt.state, "expires_at": receipt.expires_at.isoformat(), **facts}))
        return
    click.echo(receipt.state)
    tell = notes(verbose=verbose)
    tell(f"Expires  {receipt.expires_at:%Y-%m-%d %H:%M} UTC")
    tell("Reads    any number" if receipt.reads is None else f"Reads    {receipt.reads_left} of {receipt.reads} left")
