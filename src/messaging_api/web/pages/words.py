"""The texts of the web pages in each language, from `static/words/<language>.json`.

A text that contains a number may be an object with one text for each plural category of the language. `grammar` holds
what browsers already know: the separator of thousands, and the conditions of the plural categories as CLDR states them
(common/supplemental/plurals.xml).
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from messaging_api.web.pages.assets import source
from messaging_api.web.pages.plurals import plural_category

Words = dict[str, dict[str, Any]]


@cache
def words() -> dict[str, Words]:
    """Return the texts by language. English comes first: it is the fallback for languages without a file."""
    folder = files(__package__).joinpath("static", "words")
    names = sorted((entry.name for entry in folder.iterdir()), key=lambda name: (name != "en.json", name))
    return {name.removesuffix(".json"): json.loads(source(f"words/{name}")) for name in names}


def counted(language: str, group: str, key: str, number: int) -> str:
    """Return a text with `number` in it, in the plural form that `language` requires."""
    text, grammar = words()[language][group][key], words()[language]["grammar"]
    form: str = text if isinstance(text, str) else text[plural_category(number, grammar["plurals"])]
    return form.replace("{n}", f"{number:,}".replace(",", grammar["thousands"]))
