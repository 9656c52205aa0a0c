"""Options shared by the commands that use the client, and the client they configure."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import rich_click as click

from messaging_api.cli.terminal import Spinner
from messaging_api.client import Client, RetryPolicy
from messaging_api.errors import SettingsError
from messaging_api.settings.client import ClientSettings

Command = TypeVar("Command", bound=Callable[..., object])


def connection_options(command: Command) -> Command:
    """Add the options that every command with a server has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print all results as JSON on standard output."),
        click.option("--ca", metavar="FILE", help="Trust the certificates in this PEM file, not the default ones."),
        click.option("--wait", metavar="SECONDS", help="Time for retries while the server is busy or unreachable."),
        click.option("--verbose", "-v", is_flag=True, help="Print details on standard error even without a terminal."),
    ):
        command = option(command)
    return command


password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Read the password from this file. One line ending at its end is ignored.",
)


def connect(settings: ClientSettings, spinner: Spinner) -> Client:
    """Make a client from the settings. Raise SettingsError if a file for TLS cannot be used."""
    policy = RetryPolicy(max_seconds=settings.wait, max_attempts=sys.maxsize if settings.wait else 1)
    try:
        return Client(settings.server, token=settings.token, ca=settings.ca, policy=policy, on_wait=spinner.show_retry)
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be used: {error.strerror}.") from None
