"""Messages between the page and the command line, in both directions."""

import subprocess
from pathlib import Path

import pytest

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, reads, reveal, says, write
from tests.support.relay import Relay
from tests.support.service import COMMAND

pytestmark = pytest.mark.parametrize("service", ["sqlite", "redis"], indirect=True)

PASSWORD = "Pässwort 1"


def command(folder: Path, *words: str, text: str = "", password: str = "") -> str:
    """Return the standard output of the command."""
    options = []
    if password:
        (folder / "password").write_text(f"{password}\n")
        options = ["--password-file", str(folder / "password")]
    ran = subprocess.run([COMMAND, *words, *options], input=text, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_command_reads_a_message_of_the_page(person: Person, tmp_path: Path, password: str) -> None:
    """The command returns the text of the page byte for byte."""
    links = write(person(), TEXT, password=password)
    assert command(tmp_path, "read", links.message, password=password) == TEXT
    assert '"read"' in command(tmp_path, "receipt", links.receipt, "--json")


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_page_reads_a_message_of_the_command(person: Person, relay: Relay, tmp_path: Path, password: str) -> None:
    """The page shows the text of the command; a single read counts for both."""
    link = command(tmp_path, "send", "--to", relay.url, "--reads", "1", text=TEXT, password=password).strip()
    assert link.endswith(".p") == bool(password)
    page = open_link(person(), link)
    says(page, "It can be read once.")
    reveal(page, password)
    reads(page, TEXT)
    says(open_link(person(), link), "There is no message here.")


def test_page_reads_an_unencrypted_message_of_the_command(person: Person, relay: Relay, tmp_path: Path) -> None:
    """An unencrypted message is read without a key."""
    page = open_link(person(), command(tmp_path, "send", "--plain", "--to", relay.url, text=TEXT).strip())
    reveal(page)
    reads(page, TEXT)


def test_page_shows_that_the_command_burned_the_message(person: Person, tmp_path: Path) -> None:
    """The page says that there is no message any more."""
    links = write(person(), TEXT)
    command(tmp_path, "burn", links.receipt)
    says(open_link(person(), links.message), "There is no message here.")
