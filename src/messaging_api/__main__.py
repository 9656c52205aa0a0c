"""Run the command: `python -m messaging_api`."""

from messaging_api.cli import main

main(prog_name="messaging-api")
