"""The shape of the house: imports point down, four walls stand, nothing happens at import."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import messaging_api

ROOT = Path(messaging_api.__file__).parent
LADDER = [
    ["cli"],
    ["runtime"],
    ["observability.tracing"],
    ["server"],
    ["web", "stores", "settings"],
    ["core", "client", "observability"],
    ["errors", "urls"],
]
"""From top to bottom; a room may use those below it, and those of its own step only inside itself."""

DRIVERS = {"sqlite3", "hiredis", "redis"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """What a module imports, wherever in it, ours by their name below messaging_api."""
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


def room(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    return module if module == "observability.tracing" else first


def test_every_room_has_its_step() -> None:
    """A new room is put on the ladder on purpose."""
    assert {room(name) for name in MODULES} - {"", "__main__"} <= {name for step in LADDER for name in step}


@pytest.mark.parametrize("module", sorted(MODULES - {"", "__main__"}))
def test_imports_point_down(module: str) -> None:
    """A module imports from lower rooms or from its own only."""
    step = {name: n for n, names in enumerate(LADDER) for name in names}
    ours = {room(name) for name in GRAPH[module] if name in MODULES} - {room(module)}
    assert {name for name in ours if step[name] <= step[room(module)]} == set()


def test_no_knots() -> None:
    """The modules can be put in one line, typing-only imports included."""
    TopologicalSorter({name: found & MODULES for name, found in GRAPH.items()}).prepare()


def test_walls() -> None:
    """Drivers stay in the stores; neither web nor stores know each other; stores do not know the service."""
    outside = {name: found & DRIVERS for name, found in GRAPH.items() if room(name) != "stores"}
    assert {name for name, found in outside.items() if found} == set()
    rooms = {name: {room(one) for one in found} for name, found in GRAPH.items()}
    assert [name for name in rooms if room(name) == "web" and "stores" in rooms[name]] == []
    assert [name for name in rooms if room(name) == "stores" and "web" in rooms[name]] == []
    assert [name for name in GRAPH if room(name) == "stores" and "core.service" in GRAPH[name]] == []


def test_only_the_command_reads_the_environment() -> None:
    """os.environ and os.getenv occur in the command's room alone."""
    readers = {name for name, path in PATHS.items() if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    assert {room(name) for name in readers} <= {"cli", "settings"}


def test_nothing_happens_at_import() -> None:
    """Importing all of it opens no socket, starts no thread and no process, and writes no file."""
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
