"""Private names stay private: no module uses one of another module or package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import messaging_api

ROOT = Path(messaging_api.__file__).parent
DOCUMENTED = {"os._exit"}
"""Names with an underscore that are documented as public."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_uses(source: str) -> Iterator[str]:
    """Yield each private name that `source` imports, or uses through an imported name."""
    tree = ast.parse(source)
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                imported[alias.asname or alias.name.split(".", maxsplit=1)[0]] = name = f"{module}{alias.name}"
                if any(map(is_private, name.split("."))):
                    yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            module, *_ = ast.unparse(node.value).split(".")
            if module in imported:
                yield f"{ast.unparse(node.value)}.{node.attr}"


def test_no_private_name_is_imported() -> None:
    """What another module or package may change without notice is not used."""
    uses = {(path.name, name) for path in ROOT.rglob("*.py") for name in private_uses(path.read_text())}
    assert {(path, name) for path, name in uses if name not in DOCUMENTED} == set()


@pytest.mark.parametrize(
    "planted",
    [
        "from uvicorn import _types",
        "from uvicorn._types import Scope",
        "import uvicorn._types",
        "import uvicorn\nuvicorn._types",
        "import uvicorn.server as server\nserver.Server._serve",
        "from messaging_api.core.service import _open",
    ],
)
def test_private_name_is_found(planted: str) -> None:
    """The check sees every way to reach a private name."""
    assert list(private_uses(planted)) != []


def test_public_names_are_not_found() -> None:
    """Dunder names, own private names and public ones pass."""
    assert list(private_uses("from __future__ import annotations\nfrom a import __version__, b\nself._x = b.c._y")) == [
        "b.c._y"
    ]
