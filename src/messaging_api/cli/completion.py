"""The command `completion`, which prints shell scripts."""

import rich_click as click
from click.shell_completion import get_completion_class

_VARIABLE = "_MESSAGING_API_COMPLETE"
_USAGE = """\
To complete commands and options, run the line for your shell:

  bash   messaging-api completion bash > ~/.local/share/bash-completion/completions/messaging-api
  zsh    messaging-api completion zsh > ~/.zfunc/_messaging-api     (with ~/.zfunc in fpath, before compinit)
  fish   messaging-api completion fish > ~/.config/fish/completions/messaging-api.fish

Then start a new shell.\
"""


@click.command()
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, *, shell: str | None) -> None:
    """Print a completion script for SHELL. Without SHELL, print how to install it."""
    completion_class = get_completion_class(shell) if shell else None
    if completion_class is None:
        click.echo(_USAGE)
        return
    click.echo(completion_class(ctx.find_root().command, {}, "messaging-api", _VARIABLE).source())
