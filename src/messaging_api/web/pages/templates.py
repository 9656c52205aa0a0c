"""HTML templates in `static/`, with {{placeholders}} for texts and values."""

import html
import json
import re
from collections.abc import Mapping

from messaging_api.web.pages.assets import assets, source
from messaging_api.web.pages.branding import DEFAULT
from messaging_api.web.pages.words import words

_PLACE = re.compile(r"\{\{([\w.]+)\}\}")


def render(template: str, language: str, values: Mapping[str, str], script: str = "", data: object = None) -> bytes:
    """Return a whole page: `template` inside of `layout.html`.

    `values` are HTML, already escaped; `values["root"]` is the relative path to /. `data` is for the page's `script`.
    """
    group = template.removesuffix(".html")
    texts = _texts(language)
    names = {f"file.{name}": served for name, (served, _) in assets().items()}
    layout = words()[language]["layout"]
    values = {
        "lang": language,
        "dir": words()[language]["grammar"].get("direction", "ltr"),
        "kind": group,
        "title": texts.get(f"{group}.title", ""),
        "languages": "",
        **DEFAULT.values(values["root"], layout, {}),
        **texts,
        **names,
        **values,
    }
    tag = block = ""
    if script:
        tag = f'<script type="module" src="{values["root"]}assets/{names[f"file.{script}"]}"></script>'
        block = f'<script type="application/json" id="page">{_script_json(data)}</script>'
    body = fill(source(template), values)
    return fill(source("layout.html"), {**values, "script": tag, "data": block, "body": body}).encode()


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return `template` with each {{name}} replaced. Raises KeyError for a name that `values` lacks."""
    return _PLACE.sub(lambda found: values[found[1]], template)


def _texts(language: str) -> dict[str, str]:
    """Return the texts that depend on no number, as HTML, by `group.key`."""
    return {
        f"{group}.{key}": html.escape(text)
        for group, texts in words()[language].items()
        for key, text in texts.items()
        if isinstance(text, str)
    }


def _script_json(data: object) -> str:
    """Return JSON that cannot end the script element that holds it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
