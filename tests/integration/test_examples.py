"""The examples of the page /docs, run as they are copied from it. HTTPie and PowerShell are not installed here."""

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.programs import require
from tests.support.service import Running, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("examples")
    with serving(folder, f"sqlite://{folder}/m.db") as running:
        yield running


@pytest.fixture(scope="module")
def examples(service: Running) -> dict[str, str]:
    """Return the text of each example on the page, by its label."""
    page = httpx.get(f"{service.url}/docs").text
    found = re.findall(r'<pre tabindex="0" aria-label="([^"]*)"><code>(.*?)</code></pre>', page, re.DOTALL)
    return {label: html.unescape(text) for label, text in found}


def run(folder: Path, *command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=30).stdout


def test_curl_examples_run(service: Running, examples: dict[str, str], tmp_path: Path) -> None:
    """Each creates, reads, shows or burns a message; the responses have the fields that the page shows."""
    require("curl")
    (tmp_path / "notes.txt").write_text("a note")
    posted = json.loads(run(tmp_path, "bash", "-euc", examples["Create a message with curl"]))
    assert posted.keys() == json.loads(examples["The response to a new message"]).keys()
    assert posted["reads"] == 1
    assert posted["url"].startswith(service.url)
    command = examples["Read a message with curl"].replace("LINK", posted["url"])
    assert run(tmp_path, "bash", "-euc", command) == "hello"
    texts = []
    for line in examples["Send any text with curl"].splitlines():
        link = json.loads(run(tmp_path, "bash", "-euc", line))["url"]
        texts.append(httpx.get(link, headers={"accept": "text/plain"}).text)
    assert texts == ["hello\n", "a note", "a note", "salt & pepper: 100%"]
    shown = run(tmp_path, "bash", "-euc", examples["Use a receipt with curl"].replace("RECEIPT", posted["receipt"]))
    told = [json.loads(line) for line in shown.splitlines()]
    assert [one["state"] for one in told] == ["read", "read"]
    assert told[0].keys() == json.loads(examples["The response of a receipt"]).keys()


@pytest.mark.parametrize("language", ["Python", "JavaScript"])
def test_program_examples_run(examples: dict[str, str], tmp_path: Path, language: str) -> None:
    """Each creates a message and prints it."""
    file = tmp_path / {"Python": "example.py", "JavaScript": "example.mjs"}[language]
    file.write_text(examples[f"Create and read a message with {language}"])
    program = sys.executable if language == "Python" else require("node")
    assert run(tmp_path, program, str(file)) == "hello\n"


def test_error_example_is_an_error_of_the_service(service: Running, examples: dict[str, str]) -> None:
    """The response to the request that it is about is the same."""
    told = httpx.post(service.url, data={"message": "x", "read": "1"}).json()
    assert told == json.loads(examples["An error"])


def test_every_example_has_the_address_of_the_service(service: Running, examples: dict[str, str]) -> None:
    """HTTPie and PowerShell too."""
    assert len(examples) >= 10
    for label in ("curl", "HTTPie", "PowerShell", "Python", "JavaScript"):
        assert service.url in examples[next(name for name in examples if name.endswith(f"with {label}"))]
