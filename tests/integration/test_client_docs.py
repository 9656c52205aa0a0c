"""The documentation of the client and the command line: its examples are run, its tables are compared with the code."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from messaging_api.cli.exit_codes import ExitCode
from messaging_api.client import errors
from messaging_api.settings.client import ClientSettings
from messaging_api.settings.server import CLIENT_PREFIX
from tests.support.service import COMMAND, Running, serving
from tests.support.terminals import home

DOCS = Path(__file__).parents[2] / "docs"
MARK = "---- the next example ----"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start the server for the examples."""
    folder = tmp_path_factory.mktemp("docs")
    with serving(folder, f"sqlite://{folder}/messages.db", "--workers", "1") as running:
        yield running


def examples(text: str, language: str) -> list[tuple[str, str]]:
    """Return each example, and the output shown below it."""
    found = re.findall(rf"```{language}\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    assert found
    return found


def check(shown: list[tuple[str, str]], separate: str, command: list[str], service: Running, folder: Path) -> None:
    """Run examples one after the other, and compare their output with the output shown."""
    script = "".join(f"{code}\n{separate}\n" for code, _ in shown).replace("http://127.0.0.1:5000", service.url)
    (folder / "home").mkdir(exist_ok=True)
    env = {**home(folder / "home"), "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        [*command, script], cwd=folder, env=env, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split(f"{MARK}\n")[:-1] == [output for _, output in shown]


def test_command_line_examples(service: Running, tmp_path: Path) -> None:
    """The examples print the output shown."""
    check(examples((DOCS / "command-line.md").read_text(), "sh"), f"echo '{MARK}'", ["bash", "-euc"], service, tmp_path)


def test_client_examples(service: Running, tmp_path: Path) -> None:
    """The examples print the output shown."""
    check(
        examples((DOCS / "client.md").read_text(), "python"),
        f"print('{MARK}')",
        [sys.executable, "-c"],
        service,
        tmp_path,
    )


def test_readme_examples(service: Running, tmp_path: Path) -> None:
    """Both examples in the README print the message that they send."""
    part = (DOCS.parent / "README.md").read_text().split("## From the command line")[1].split("\n## ")[0]
    [(command, _)], [(script, _)] = examples(part, "sh"), examples(part, "python")
    check([(command, "for one pair of eyes\n")], f"echo '{MARK}'", ["bash", "-euc"], service, tmp_path)
    check([(script, "hello\n")], f"print('{MARK}')", [sys.executable, "-c"], service, tmp_path)


def exit_codes() -> str:
    """Make the table of exit codes."""
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {code} | {code.meaning} |" for code in ExitCode)])


def client_settings() -> str:
    """Make the table of settings."""
    options = {"server": "`--to`", "token": "`--token-file`"}
    rows = ["| name | option | variable | shape | meaning |", "|---|---|---|---|---|"]
    for spec in fields(ClientSettings):
        meta, option = spec.metadata, options.get(spec.name, f"`--{spec.name}`")
        variable = f"`{CLIENT_PREFIX}{spec.name.upper()}`"
        rows.append(f"| `{spec.name}` | {option} | {variable} | {meta['shape']} | {meta['meaning']} |")
    return "\n".join(rows)


def error_tree() -> str:
    """Return the tree in the docstring of the errors."""
    lines = (errors.__doc__ or "").splitlines()
    drawn = [line.removeprefix("    ") for line in lines if line.startswith("    ")]
    return "\n".join(["```text", *drawn, "```"])


@pytest.mark.parametrize(
    ("document", "part", "made"),
    [
        ("command-line.md", "exit codes", exit_codes),
        ("command-line.md", "client settings", client_settings),
        ("client.md", "errors", error_tree),
    ],
)
def test_tables_match_the_code(document: str, part: str, made: Callable[[], str]) -> None:
    """Each part between comments is what the code makes."""
    text = (DOCS / document).read_text()
    between = text.split(f"<!-- {part} -->")[1].split(f"<!-- /{part} -->")[0]
    assert between.strip() == made()
