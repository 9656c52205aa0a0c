"""What the documents of the client and the command line claim: every example is run, every table is the code's."""

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
    """The server of the examples."""
    folder = tmp_path_factory.mktemp("docs")
    with serving(folder, f"sqlite://{folder}/messages.db", "--workers", "1") as running:
        yield running


def examples(text: str, language: str) -> list[tuple[str, str]]:
    """Each example, and the output that is shown below it."""
    found = re.findall(rf"```{language}\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    assert found
    return found


def hold(shown: list[tuple[str, str]], separate: str, command: list[str], service: Running, folder: Path) -> None:
    """Run examples one after the other, and hold their outputs to what is shown."""
    script = "".join(f"{code}\n{separate}\n" for code, _ in shown).replace("http://127.0.0.1:5000", service.url)
    (folder / "home").mkdir(exist_ok=True)
    env = {**home(folder / "home"), "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        [*command, script], cwd=folder, env=env, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split(f"{MARK}\n")[:-1] == [output for _, output in shown]


def test_command_line(service: Running, tmp_path: Path) -> None:
    """The examples print what is shown."""
    hold(examples((DOCS / "command-line.md").read_text(), "sh"), f"echo '{MARK}'", ["bash", "-euc"], service, tmp_path)


def test_client(service: Running, tmp_path: Path) -> None:
    """The examples print what is shown."""
    hold(
        examples((DOCS / "client.md").read_text(), "python"),
        f"print('{MARK}')",
        [sys.executable, "-c"],
        service,
        tmp_path,
    )


def test_readme(service: Running, tmp_path: Path) -> None:
    """The front door's two examples print what was sent."""
    part = (DOCS.parent / "README.md").read_text().split("## From the command line")[1].split("\n## ")[0]
    [(command, _)], [(script, _)] = examples(part, "sh"), examples(part, "python")
    hold([(command, "for one pair of eyes\n")], f"echo '{MARK}'", ["bash", "-euc"], service, tmp_path)
    hold([(script, "hello\n")], f"print('{MARK}')", [sys.executable, "-c"], service, tmp_path)


def exit_codes() -> str:
    """The table of exit codes."""
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {code} | {code.meaning} |" for code in ExitCode)])


def client_settings() -> str:
    """The table of settings."""
    options = {"server": "`--to`", "token": "`--token-file`"}
    rows = ["| name | option | variable | shape | meaning |", "|---|---|---|---|---|"]
    for spec in fields(ClientSettings):
        meta, option = spec.metadata, options.get(spec.name, f"`--{spec.name}`")
        variable = f"`{CLIENT_PREFIX}{spec.name.upper()}`"
        rows.append(f"| `{spec.name}` | {option} | {variable} | {meta['shape']} | {meta['meaning']} |")
    return "\n".join(rows)


def error_tree() -> str:
    """The drawing in the errors' docstring."""
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
def test_tables(document: str, part: str, made: Callable[[], str]) -> None:
    """A table between marks is the one that the code gives."""
    text = (DOCS / document).read_text()
    between = text.split(f"<!-- {part} -->")[1].split(f"<!-- /{part} -->")[0]
    assert between.strip() == made()
