"""The command `messaging-api`. Only this room reads the environment.

Each command lives in a module that is imported when the command is used: who serves needs no HTTP client, and who sends
no server.
"""

from importlib import import_module

import rich_click as click

from messaging_api import __version__

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
"""Every command, in the order help shows them, and the module that holds the function of its name."""


class LazyGroup(click.RichGroup):
    """Finds the commands of the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, for help and completion."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{COMMANDS[cmd_name]}"), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(help_config={"text_markup": "rich"})
@click.version_option(__version__, prog_name="messaging-api")
def main() -> None:
    """Post a message, get a link nobody can guess. The link is the only key.

    Start with [b]messaging-api serve[/b], then [b]curl -d message=hello http://127.0.0.1:5000[/b].
    """
