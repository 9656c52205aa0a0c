"""The command that creates a token."""

import rich_click as click

from messaging_api.settings.server import ENV_PREFIX
from messaging_api.web.tokens import new_token


@click.command()
def token() -> None:
    """Create a bearer token that allows its holder to create messages.

    It is shown once and stored nowhere: clients send the token, the service only knows its hash.
    """
    bearer, hashed = new_token()
    variable = f"{ENV_PREFIX}CREATE_TOKENS"
    click.echo(f"token: {bearer}")
    click.echo(f"hash:  {hashed}\n")
    click.echo("Give the token to those who are allowed to create messages. They send it with each message:\n")
    click.echo(f'  curl -H "Authorization: Bearer {bearer}" -d message=hello URL\n')
    click.echo(f"Give the hash to the service, by --create-tokens, {variable} or a file that {variable}_FILE names.")
    click.echo("Separate several hashes by commas. Reading needs no token.")
