"""The command `completion`."""

import rich_click as click
from click.shell_completion import get_completion_class

_VARIABLE = "_MESSAGING_API_COMPLETE"
_HOW = """\
Completion of commands and options, for the shell you use:

  bash   messaging-api completion bash > ~/.local/share/bash-completion/completions/messaging-api
  zsh    messaging-api completion zsh > ~/.zfunc/_messaging-api     (with ~/.zfunc in fpath, before compinit)
  fish   messaging-api completion fish > ~/.config/fish/completions/messaging-api.fish

It holds from the next shell on.\
"""


@click.command()
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, *, shell: str | None) -> None:
    """Print what makes SHELL complete this command; without SHELL, how to use that."""
    made = get_completion_class(shell) if shell else None
    if made is None:
        click.echo(_HOW)
        return
    click.echo(made(ctx.find_root().command, {}, "messaging-api", _VARIABLE).source())
