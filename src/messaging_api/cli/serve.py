"""The commands that run the service and show its settings."""

import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from messaging_api.errors import SettingsError, StoreError
from messaging_api.runtime.parent import ParentProcess
from messaging_api.settings.server import ENV_PREFIX, ExplainedSetting, Settings, load

Command = Callable[..., Any]


def _setting_options(command: Command) -> Command:
    """Add one option for each setting."""
    for spec in reversed(fields(Settings)):
        name, meta = spec.name, spec.metadata
        described = f"{meta['meaning']} [dim]\\[{ENV_PREFIX}{name.upper()}, default: {meta['default']}][/dim]"
        command = click.option(f"--{name.replace('_', '-')}", name, metavar=meta["shape"], help=described)(command)
    return command


def _load(options: dict[str, str | None]) -> tuple[Settings, list[ExplainedSetting]]:
    try:
        return load({name: text for name, text in options.items() if text is not None}, os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@_setting_options
def serve(**options: str | None) -> None:
    """Serve messages over HTTP.

    Each option can also be set by the environment variable in brackets. With _FILE added to its name, the variable
    names a file that contains the value.
    """
    settings, _ = _load(options)
    try:
        service = ParentProcess(settings)
    except (SettingsError, StoreError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Serving on {service.url} (health and metrics on {service.ops_url}). Try:\n")
    click.echo(f"  curl -d message=hello {service.url}\n")
    sys.stdout.flush()
    service.run()


@click.command()
@_setting_options
def settings(**options: str | None) -> None:
    """Show every setting: its value, the source of the value, and its meaning."""
    _, explained = _load(options)
    table = Table("setting", "value", "source", "shape", "meaning", box=None, header_style="bold")
    for row in explained:
        table.add_row(row.name, escape(row.value), row.source, escape(row.shape), escape(row.meaning))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
