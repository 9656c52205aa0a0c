"""The files of the web pages as they are served: modules joined, names that hold a hash, templates filled with words.

What a page script imports by `import {…} from "./x.js"` is put before it, each module once, so that a page needs one
script; what it imports by `import("./x.js")` when it is needed stays a file of its own. The sources in `static/` are
ordinary ES modules: nothing has to be built to change them.
"""

import html
import json
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

ENTRIES = ("write.js", "reader.js", "receipt.js")
_PLAIN = ("style.css", "icon.svg")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_LATER = re.compile(r'import\("\./([\w/-]+\.js)"\)')
_PLACE = re.compile(r"\{\{([\w.]+)\}\}")

Words = dict[str, dict[str, Any]]


@cache
def source(name: str) -> str:
    """The file `name` in `static/`."""
    return files(__package__).joinpath("static", *name.split("/")).read_text(encoding="utf-8")


@cache
def words() -> dict[str, Words]:
    """The words of the pages, by language; English first, because it is for all whose language is not there."""
    folder = files(__package__).joinpath("static", "words")
    names = sorted((entry.name for entry in folder.iterdir()), key=lambda name: (name != "en.json", name))
    return {name.removesuffix(".json"): json.loads(source(f"words/{name}")) for name in names}


@cache
def assets() -> dict[str, tuple[str, bytes]]:
    """What is served below /assets: from the name of a source to the name it is served by, and its content."""
    served: dict[str, tuple[str, bytes]] = {}
    for name in _PLAIN:
        served[name] = _named(name, source(name))
    for name in ENTRIES:
        text = _joined(name, set())
        for later in _LATER.findall(text):
            served[later] = _named(later, source(later))
        served[name] = _named(name, _LATER.sub(lambda found: f'import("./{served[found[1]][0]}")', text))
    return served


def _joined(name: str, seen: set[str]) -> str:
    seen.add(name)
    text = source(name)
    needed = [one for one in _IMPORT.findall(text) if one not in seen]
    return "".join(_joined(one, seen) for one in needed if one not in seen) + _IMPORT.sub("", text)


def _named(name: str, text: str) -> tuple[str, bytes]:
    stem, _, kind = name.rpartition("/")[2].rpartition(".")
    content = text.encode()
    return f"{stem}.{sha256(content).hexdigest()[:16]}.{kind}", content


def page(template: str, language: str, values: Mapping[str, str], script: str = "", data: object = None) -> bytes:
    """A whole page: `template` in the layout. `values` are HTML, `root` leads to /; `data` is for the script."""
    group = template.removesuffix(".html")
    known = words()[language]
    texts = {
        f"{name}.{key}": html.escape(text)
        for name in known
        for key, text in known[name].items()
        if isinstance(text, str)
    }
    names = {f"file.{name}": served for name, (served, _) in assets().items()}
    values = {"lang": language, "kind": group, "title": texts.get(f"{group}.title", ""), **texts, **names, **values}
    address = values["root"] + "assets/" + names.get(f"file.{script}", "")
    tag = f'<script type="module" src="{address}"></script>' if script else ""
    block = f'<script type="application/json" id="page">{_harmless(data)}</script>' if script else ""
    body = fill(source(template), values)
    return fill(source("layout.html"), {**values, "script": tag, "data": block, "body": body}).encode()


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with each {{name}} replaced. KeyError for a name that `values` lacks."""
    return _PLACE.sub(lambda found: values[found[1]], template)


def _harmless(data: object) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
