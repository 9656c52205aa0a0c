"""The command that makes a token for those who may create."""

import rich_click as click

from messaging_api.settings.server import ENV_PREFIX
from messaging_api.web.tokens import new_token


@click.command()
def token() -> None:
    """Make a bearer token for those who may create messages.

    It is shown once and kept nowhere: whoever may create sends it, the service knows its hash only.
    """
    made, kept = new_token()
    click.echo(f"token: {made}")
    click.echo(f"hash:  {kept}\n")
    click.echo("Give the token to whoever may create; they send it with each message:\n")
    click.echo(f'  curl -H "Authorization: Bearer {made}" -d message=hello URL\n')
    click.echo(f"Give the hash to the service, with commas between several: --create-tokens, {ENV_PREFIX}CREATE_TOKENS")
    click.echo(f"or a file named by {ENV_PREFIX}CREATE_TOKENS_FILE. Reading needs no token.")
