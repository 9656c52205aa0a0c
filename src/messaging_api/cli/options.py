"""What the commands that talk to a server share: their options, their client, their file for a password."""

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
    """The options that every command here has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="All there is to tell, as JSON, on standard output."),
        click.option("--ca", metavar="FILE", help="Certificates to trust in place of the usual ones."),
        click.option("--wait", metavar="SECONDS", help="How long to try again when the server is busy or away."),
        click.option("--verbose", "-v", is_flag=True, help="Also when nobody looks, tell more on standard error."),
    ):
        command = option(command)
    return command


password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="The password is in this file; its last line end is not part of it.",
)


def connect(settings: ClientSettings, progress: Spinner) -> Client:
    """A client as it is set."""
    policy = RetryPolicy(max_seconds=settings.wait, max_attempts=sys.maxsize if settings.wait else 1)
    try:
        return Client(settings.server, token=settings.token, ca=settings.ca, policy=policy, on_wait=progress.waiting)
    except OSError as error:
        raise SettingsError(f"{settings.ca} holds no certificates that can be used: {error.strerror}.") from None
