"""The scripts, style sheet and icon of the web pages, as they are served.

The sources in `static/` are ordinary ES modules, which need no build step. A script includes each module that it
imports by `import {…} from "./x.js"`, once, so that a page needs one script. A module that it imports by
`import("./x.js")` remains a separate file, loaded on demand. The name of a served file holds a hash of its content.
"""

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

ENTRIES = ("write.js", "reader.js", "receipt.js")
_UNCHANGED = ("style.css", "icon.svg")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_IMPORT_ON_DEMAND = re.compile(r'import\("\./([\w/-]+\.js)"\)')


@cache
def source(name: str) -> str:
    """Return the text of the file `name` in `static/`."""
    return files(__package__).joinpath("static", *name.split("/")).read_text(encoding="utf-8")


def generated(name: str) -> Traversable:
    """Return the path of the file `name` that the build of the package writes (`scripts/build_hook.py`)."""
    return files(__package__).joinpath("generated", name)


@cache
def assets() -> dict[str, tuple[str, bytes]]:
    """Return all files below /assets: a map from the name of the source to the served name and the content."""
    served: dict[str, tuple[str, bytes]] = {}
    for name in _UNCHANGED:
        served[name] = _hashed(name, source(name))
    for name in ENTRIES:
        text = _with_imports(name, set())
        for module in _IMPORT_ON_DEMAND.findall(text):
            served[module] = _hashed(module, source(module))
        served[name] = _hashed(name, _IMPORT_ON_DEMAND.sub(lambda found: f'import("./{served[found[1]][0]}")', text))
    return served


def _with_imports(name: str, seen: set[str]) -> str:
    """Return the module `name` after all modules that it imports, without those in `seen`, to which they are added."""
    seen.add(name)
    text = source(name)
    imported = "".join(_with_imports(module, seen) for module in _IMPORT.findall(text) if module not in seen)
    return imported + _IMPORT.sub("", text)


def _hashed(name: str, text: str) -> tuple[str, bytes]:
    stem, _, kind = name.rpartition("/")[2].rpartition(".")
    content = text.encode()
    return f"{stem}.{sha256(content).hexdigest()[:16]}.{kind}", content
