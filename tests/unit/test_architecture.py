"""The layers of the package, its dependency rules, and that an import has no effects."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import messaging_api

ROOT = Path(messaging_api.__file__).parent
LAYERS = [
    ["cli"],
    ["runtime"],
    ["observability.tracing"],
    ["server"],
    ["web", "stores", "settings"],
    ["core", "client", "observability"],
    ["errors", "urls"],
]
"""From top to bottom. A package may import from the layers below its own, and from itself."""

DRIVERS = {"sqlite3", "hiredis", "redis"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """Return what a module imports, at any place; modules of this package without the prefix messaging_api."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name.removeprefix("messaging_api.") in MODULES else node.module for name in inside}
    return {name.removeprefix("messaging_api.") for name in found if name != "messaging_api"}


PATHS = {name_of(path): path for path in ROOT.rglob("*.py")}
MODULES = set(PATHS)
GRAPH = {name: imports(path) for name, path in PATHS.items()}


def package(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    return module if module == "observability.tracing" else first


def test_every_package_has_a_layer() -> None:
    """A new package is added to a layer on purpose, and one that is gone is removed."""
    assert {package(name) for name in MODULES} - {"", "__main__"} == {name for layer in LAYERS for name in layer}


@pytest.mark.parametrize("module", sorted(MODULES - {"", "__main__"}))
def test_imports_point_down(module: str) -> None:
    """A module imports from lower layers or from its own package only."""
    layer = {name: n for n, names in enumerate(LAYERS) for name in names}
    imported = {package(name) for name in GRAPH[module] if name in MODULES} - {package(module)}
    assert {name for name in imported if layer[name] <= layer[package(module)]} == set()


def test_no_import_cycles() -> None:
    """The modules can be put in an order in which each imports earlier ones only, imports for types included."""
    TopologicalSorter({name: found & MODULES for name, found in GRAPH.items()}).prepare()


def importers(*targets: str) -> set[str]:
    """Return the modules that import one of `targets`, or a module below it."""
    return {
        name
        for name, found in GRAPH.items()
        if any(one == target or one.startswith(f"{target}.") for one in found for target in targets)
    }


def test_database_drivers_stay_in_the_stores() -> None:
    """No other package knows which databases there are."""
    users = importers(*DRIVERS)
    assert {package(name) for name in users} == {"stores"}


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("web", "stores"),
        ("stores", "web"),
        ("stores", "core.service"),
        ("web", "server"),
        ("client", "core"),
        ("core", "client"),
    ],
)
def test_dependency_rules(importer: str, imported: str) -> None:
    """These packages do not know those modules, also where the layers would allow it."""
    assert [name for name in importers(imported) if package(name) == importer] == []


@pytest.mark.parametrize("library", ["uvicorn", "yaml"])
def test_libraries_that_are_not_imported(library: str) -> None:
    """The HTTP server is our own, and YAML is read when the package is built, not when it runs."""
    assert importers(library) == set()


def test_only_settings_and_commands_read_the_environment() -> None:
    """os.environ and os.getenv occur nowhere else."""
    readers = {name for name, path in PATHS.items() if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    assert {package(name) for name in readers} == {"cli", "settings"}


def test_import_has_no_effects() -> None:
    """Importing all modules opens no socket, starts no thread and no process, and writes no file."""
    watch = f"""
import sys
seen = []
def hook(event, arguments):
    name, mode = (*arguments, "", "")[:2]
    writes = event == "open" and isinstance(mode, str) and set(mode) & set("wa+x") and "__pycache__" not in str(name)
    if writes or event in ("socket.connect", "socket.bind", "os.fork", "subprocess.Popen", "os.mkdir"):
        seen.append((event, arguments))
sys.addaudithook(hook)
import {", ".join(f"messaging_api.{name}" for name in sorted(MODULES - {"", "__main__"}))}, threading
assert seen == [], seen
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", watch], check=True)
