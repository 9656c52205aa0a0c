"""The command `messaging-api`. Only this package and `settings` read the environment.

The module of a command is imported when the command is used: `serve` does not import the HTTP client, and `send` does
not import the server.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import rich_click as click

from messaging_api import __version__
from messaging_api.cli.terminal import printable

COMMANDS = {
    "send": "send",
    "read": "read",
    "receipt": "receipt",
    "burn": "receipt",
    "serve": "serve",
    "settings": "serve",
    "token": "token",
    "cert": "cert",
    "completion": "completion",
}
"""Every command, in the order of the help, and the module with the function of the same name."""


class LazyGroup(click.RichGroup):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, for help and completion."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name and return it, or None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{COMMANDS[cmd_name]}"), cmd_name)
        return command

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,  # noqa: ANN401 as in click
    ) -> object:
        """Run a command and exit. All errors of the command line look alike, at a terminal and in a pipe."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            code = super().main(args, standalone_mode=False, **extra)
        except click.ClickException as error:
            context = error.ctx if isinstance(error, click.UsageError) else None
            hint = f" See: {context.command_path} --help" if context else ""
            click.echo(printable(f"messaging-api: {error.format_message()}{hint}"), err=True, nl=False)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("Stopped.", err=True)
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(help_config={"text_markup": "rich"})
@click.version_option(__version__, prog_name="messaging-api")
def main() -> None:
    """Post a message and get a link that nobody can guess. The link is the only key.

    Start with [b]messaging-api serve[/b], then [b]curl -d message=hello http://127.0.0.1:5000[/b].
    """
