"""The real curl, as people use it with services of this kind."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import require
from tests.support.service import Running, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("curl")
    with serving(folder, f"sqlite://{folder}/m.db") as running:
        yield running


def curl(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
    """Return what curl prints, without asking its configuration file."""
    return subprocess.run(
        [require("curl"), "--disable", "--silent", *arguments],
        input=stdin,
        cwd=cwd,
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout


def shell(command: str, folder: Path, stdin: bytes = b"") -> bytes:
    """Return what a command prints that is pasted into a shell."""
    arguments = ["bash", "-euc", command]
    return subprocess.run(arguments, input=stdin, cwd=folder, capture_output=True, check=True, timeout=30).stdout


def read(posted: bytes) -> bytes:
    """Return the message of the response to a post."""
    told: dict[str, Any] = json.loads(posted)
    assert told["status"] == 200, told
    return curl("-H", "Accept: text/plain", told["url"])


TEXTS = [b"hi\n", b"Pa+ss", b"100% + tax\r\n", "é🙂\n".encode()]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_kept_byte_for_byte(service: Running, text: bytes, tmp_path: Path) -> None:
    """However curl sends it: none of these forms is decoded, and the name of a field or a file does not matter."""
    (tmp_path / "notes.txt").write_bytes(text)
    ways: list[list[str]] = [
        ["--data-binary", "@-", service.url],
        ["-F", "message=<-", service.url],
        ["-F", "file=@-", service.url],
        ["-F", "file=@notes.txt", service.url],
        ["--upload-file", "notes.txt", f"{service.url}/"],
        ["--upload-file", "-", f"{service.url}/notes"],
        ["-H", "Content-Type: text/plain", "--data-binary", "@-", service.url],
        ["--data-urlencode", "message@-", service.url],
    ]
    for way in ways:
        assert read(curl(*way, stdin=text, cwd=tmp_path)) == text, way
    if text == b"Pa+ss":
        assert read(curl("-d", text.decode(), service.url)) == text


@pytest.mark.parametrize(
    "way",
    [
        ["-d", "a=b"],
        ["-d", "hello", "-d", "reads=1"],
        ["-d", "hello", "-d", "world"],
        ["-d", "message=p&ss"],
        ["-d", '{"message": "x", "reads": 1}'],
        ["--data-urlencode", "salt & pepper"],
        ["-F", "text=hello"],
        ["-F", "message=x", "-F", "read=1"],
        ["-X", "POST"],
        ["-H", "Content-Type: application/json", "-d", "message=hello"],
        ["--upload-file", "-"],
    ],
    ids=" ".join,
)
def test_command_in_an_error_works(service: Running, way: list[str], tmp_path: Path) -> None:
    """What is doubtful is not stored; the error ends in a line for the shell, which stores a message."""
    told = json.loads(curl(*way, service.url, stdin=b"x"))
    assert told["status"] in (400, 405)
    line = told["detail"].partition(" This works: ")[2]
    (tmp_path / "FILE").write_text("hello")
    json_body = b'{"message": "hello"}' if "application/json" in line else b"hello"
    assert json.loads(shell(line, tmp_path, json_body))["status"] == 200


def test_commands_of_the_help_work(service: Running, tmp_path: Path) -> None:
    """`curl URL` shows them; each line with curl runs as it is and stores a message, or reads one."""
    told = curl(service.url).decode()
    link = json.loads(curl("-d", "message=x", service.url))["url"]
    (tmp_path / "notes.txt").write_text("hello")
    commands = [line.strip() for line in told.replace("LINK", link).splitlines() if "curl " in line]
    assert len(commands) >= 5
    for command in commands:
        printed = shell(re.sub("  +#.*", "", command), tmp_path)
        assert printed
        assert b'"status":4' not in printed, command


def test_read_that_needs_a_format_shows_the_command(service: Running, tmp_path: Path) -> None:
    """The command of the 428 reads the message."""
    told = json.loads(curl(json.loads(curl("-F", "message=x", "-F", "reads=1", service.url))["url"]))
    assert told["status"] == 428
    line = told["detail"].partition(" This reads it: ")[2]
    assert shell(line, tmp_path) == b"x"
