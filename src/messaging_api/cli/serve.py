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
from messaging_api.settings.server import ExplainedSetting, Settings, load

Command = Callable[..., Any]


class InvalidSettings(click.ClickException):
    """The service cannot start with these settings. The exit code is that of a wrong command line."""

    exit_code = 2


GROUPS = {
    "Address and TLS": ("host", "port", "public_url", "tls_cert", "tls_key", "redirect_port"),
    "Storage": ("store", "store_timeout", "replicas_to_wait"),
    "Messages": ("max_message_bytes", "max_ttl", "default_ttl", "resume_seconds"),
    "Access and limits per client": ("create_tokens", "cors_origins", "limit_create", "limit_read", "limit_miss"),
    "Proxies in front": ("trusted_proxies", "forwarded_header"),
    "Processes and connections": (
        *("workers", "drain_seconds", "max_connections", "max_in_flight"),
        *("head_timeout", "body_timeout", "send_timeout", "keep_alive"),
    ),
    "Logs, metrics and traces": ("log_dir", "log_keep_days", "ops_host", "ops_port", "traces_to"),
}
"""The settings in the groups of the help. A setting in no group is shown at the end."""


def _setting_options(command: Command) -> Command:
    """Add one option for each setting, in groups."""
    for spec in reversed(fields(Settings)):
        name, meta = spec.name, spec.metadata
        described = f"{escape(meta['meaning'])} [dim]\\[default: {escape(meta['default'])}][/dim]"
        command = click.option(f"--{name.replace('_', '-')}", name, metavar=meta["shape"], help=described)(command)
    for title, names in reversed(GROUPS.items()):
        options = [f"--{name.replace('_', '-')}" for name in names]
        command = click.option_panel(title, options=options)(command)
    return command


def _load(options: dict[str, str | None]) -> tuple[Settings, list[ExplainedSetting]]:
    try:
        return load({name: text for name, text in options.items() if text is not None}, os.environ)
    except SettingsError as error:
        raise InvalidSettings(str(error)) from None


@click.command()
@_setting_options
def serve(**options: str | None) -> None:
    """Serve messages over HTTP.

    Each option can also be set by an environment variable: MESSAGING_API_ and the name in capitals, such as
    MESSAGING_API_MAX_TTL for --max-ttl. With _FILE added to its name, the variable names a file that contains the
    value.
    """
    settings, _ = _load(options)
    try:
        service = ParentProcess(settings)
    except SettingsError as error:
        raise InvalidSettings(str(error)) from None
    except StoreError as error:
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
