"""The commands `receipt` and `burn`, for the sender of a message."""

import json
from collections.abc import Callable
from typing import Unpack

import rich_click as click

from messaging_api.cli.exit_codes import EXIT_CODES_HELP, handle_errors
from messaging_api.cli.options import ConnectionOptions, connect, connection_options, load_settings
from messaging_api.cli.read import read_link
from messaging_api.cli.terminal import Spinner, print_details
from messaging_api.client import Client, Link, Receipt


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("link", default="-")
@connection_options
@handle_errors
def receipt(*, link: str, as_json: bool, verbose: bool, **connection: Unpack[ConnectionOptions]) -> None:
    """Print the state of a message. LINK is the link of its receipt.

    The state is available, read (as often as allowed), burned or expired. If LINK is - or missing, it is read from
    standard input; if that is a terminal, you are asked for it.
    """
    result = _request("Requesting …", Client.receipt, read_link(link), connection)
    _print(result, as_json=as_json, verbose=verbose)


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("link", default="-")
@connection_options
@handle_errors
def burn(*, link: str, as_json: bool, verbose: bool, **connection: Unpack[ConnectionOptions]) -> None:
    """Make a message unreadable now, and print its state. LINK is the link of its receipt.

    The state is burned, or still read or expired if it was that before. If LINK is - or missing, it is read from
    standard input; if that is a terminal, you are asked for it.
    """
    result = _request("Burning …", Client.burn, read_link(link), connection)
    _print(result, as_json=as_json, verbose=verbose)


def _request(text: str, method: Callable[[Client, str], Receipt], link: str, connection: ConnectionOptions) -> Receipt:
    parsed = Link.parse(link, "receipt")
    with Spinner(text) as spinner, connect(load_settings(connection, parsed.server), spinner) as client:
        return method(client, parsed.address)


def _print(receipt: Receipt, *, as_json: bool, verbose: bool) -> None:
    if as_json:
        reads = {"reads": receipt.reads, "reads_left": receipt.reads_left}
        click.echo(json.dumps({"state": receipt.state, "expires_at": receipt.expires_at.isoformat(), **reads}))
        return
    click.echo(receipt.state)
    reads_left = "unlimited" if receipt.reads is None else f"{receipt.reads_left} of {receipt.reads} left"
    print_details(
        f"Expires  {receipt.expires_at:%Y-%m-%d %H:%M} UTC",
        f"Reads    {reads_left}",
        verbose=verbose,
    )
