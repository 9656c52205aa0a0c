"""Options shared by the commands that use the client, and the client they configure."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, TypeVar

import rich_click as click

from messaging_api.cli.terminal import Spinner
from messaging_api.client import Client, RetryPolicy
from messaging_api.errors import SettingsError
from messaging_api.settings.client import ClientSettings, client_settings

Command = TypeVar("Command", bound=Callable[..., object])


def connection_options(command: Command) -> Command:
    """Add the options that every command with a server has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print all results as JSON on standard output."),
        click.option(
            "--header",
            multiple=True,
            metavar="'NAME: VALUE'",
            help="Add a header to every request. Others can see command lines: use --header-file for secrets.",
        ),
        click.option("--header-file", metavar="FILE", help="Read headers from this file, one per line."),
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


class ConnectionOptions(TypedDict):
    """The values of the options that every command with a server has, but for those of the output."""

    header: tuple[str, ...]
    header_file: str | None
    ca: str | None
    wait: str | None


def load_settings(connection: ConnectionOptions, server: str | None, token_file: str | None = None) -> ClientSettings:
    """Load the settings for a command that contacts `server`, by default the one that is set. Raise SettingsError."""
    options = {
        "server": server,
        "token_file": token_file,
        "header": "\n".join(connection["header"]) or None,
        "header_file": connection["header_file"],
        "ca": connection["ca"],
        "wait": connection["wait"],
    }
    return client_settings(options)


def connect(settings: ClientSettings, spinner: Spinner) -> Client:
    """Make a client from the settings. Raise SettingsError if a header or a file for TLS cannot be used."""
    policy = RetryPolicy(max_seconds=settings.wait, max_attempts=sys.maxsize if settings.wait else 1)
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in settings.header)}
    try:
        return Client(
            settings.server,
            token=settings.token,
            headers=headers,
            ca=settings.ca,
            policy=policy,
            on_wait=spinner.show_retry,
        )
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be used: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"{str(error).capitalize()}.") from None
