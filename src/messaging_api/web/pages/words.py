"""The texts of the web pages in each language, from `static/words/<language>.json`."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from messaging_api.web.pages.assets import source

Words = dict[str, dict[str, Any]]


@cache
def words() -> dict[str, Words]:
    """Return the texts by language. English comes first: it is the fallback for languages without a file."""
    folder = files(__package__).joinpath("static", "words")
    names = sorted((entry.name for entry in folder.iterdir()), key=lambda name: (name != "en.json", name))
    return {name.removesuffix(".json"): json.loads(source(f"words/{name}")) for name in names}
