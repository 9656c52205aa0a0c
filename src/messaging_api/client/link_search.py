"""Finds the link in pasted text, by the rule in `docs/encryption.md`.

`web/pages/static/links.js` does the same in the page; `tests/vectors/links.json` is the table of cases of both.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from messaging_api.client.errors import BadLink
from messaging_api.urls import default_scheme

Kind = Literal["msg", "receipt"]
Damage = Literal["", "cut-short", "altered"]

MAX_TEXT = 16_384
"""Characters of the longest text that is searched."""

_HOST = r"(?:[0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_BASE = rf"https?://{_HOST}(?:/[!$-.0-;=@-Z_a-z~]+)*"
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FLAGS = re.IGNORECASE | re.ASCII
_LINK = re.compile(
    rf"({_BASE})/(msg|receipt)/({_ID})(?!/*[0-9a-z])/*([?&][!$-;=?-~]*)?(?:#([\w-]*)((?:\.|%2e)p(?![0-9a-z]))?)?",
    _FLAGS,
)
_WITHOUT_SCHEME = re.compile(rf"[^0-9a-z\[]*({_HOST})/(?!/)", _FLAGS)
_CUT_ID = re.compile(r"/(?:msg|receipt)/([0-9a-f-]{0,35})(?![!-~]*[0-9a-z])", _FLAGS)
_ALTERED_ID = re.compile("/(?:msg|receipt)/", _FLAGS)
_ESCAPE = re.compile("%([0-7][0-9a-f])", _FLAGS)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
    "|%e2%80%8[b-f]|%e2%81%a0|%ef%bb%bf|%c2%ad",
    re.IGNORECASE,
)
_BREAK = r"=?[ \t]*\r?\n[> \t]*"
_BROKEN = [
    re.compile(
        rf"({_BASE}/(?:msg|receipt)/[!-~]*?)((?:{_BREAK}(?!https?:)[!-~]+(?=[ \t]*(?:\r?\n|\Z))){{1,{lines}}})", _FLAGS
    )
    for lines in (1, 2, 3)
]
_LAYERS = 5
_SECRET = 43
_LAST = "AEIMQUYcgkosw048"
"""The last character of a secret carries four bits."""


class FoundLink(NamedTuple):
    """A link in a text: its address without the key, and the key, empty if there is none. `damage` is that of the key.

    `certain`: the fragment, or its absence, cannot belong to the text around the link.
    """

    kind: str
    address: str
    fragment: str
    damage: Damage = ""
    certain: bool = True

    @property
    def rank(self) -> int:
        """A whole key is worth more than a damaged one, and that more than none."""
        return 1 if self.damage else 2 if self.fragment else 0


_REASONS = {
    "msg": "This is the link of a receipt. The link of a message contains /msg/.",
    "receipt": "This is the link of a message. The link of its receipt is required, which its sender received with it.",
    "cut-short": "The link is cut short: the end of its key is missing. Copy the whole link.",
    "altered": "The link was altered: its key is not as it was made. Copy the link again.",
}


def find_link(text: str, kind: Kind) -> FoundLink:
    """Return the only link of that kind in `text`. Raise BadLink, with the reason, if there is none or several."""
    if len(text) > MAX_TEXT:
        raise BadLink(f"The text is longer than {MAX_TEXT} characters: pass only the link.")
    links = _all_links(text)
    found = [link for link in links if link.kind == kind]
    if len(found) > 1:
        raise BadLink("The text contains several links: pass one of them.", "several")
    if not found and links:
        raise BadLink(_REASONS[kind], "wrong-kind")
    if not found:
        raise _without_link(text)
    damage = found[0].damage
    if damage and kind == "msg":
        raise BadLink(_REASONS[damage], damage)
    return found[0]


def _all_links(text: str) -> list[FoundLink]:
    """Return the different links in a text. Of several copies of one link, the one with the most of its key counts."""
    best: dict[tuple[str, str], FoundLink] = {}
    for layer, decoded in enumerate(_layers(text)):
        for variant, joined in _variants(decoded):
            for link in _links(variant):
                certain = not joined and (layer == 0 or link.certain)
                same = (_layers(link.address)[-1], "")
                before = best.setdefault(same, link)
                if link.rank > before.rank and (certain or not link.damage):
                    best[same] = link._replace(address=before.address)
                elif link.rank == before.rank == 2 and link.fragment[:_SECRET] != before.fragment[:_SECRET]:
                    best[same[0], link.fragment[:_SECRET]] = link
    return list(best.values())


def _layers(text: str) -> list[str]:
    """Return the text, and what percent-decoding of ASCII makes of it, repeatedly."""
    layers = [text]
    while len(layers) < _LAYERS and _ESCAPE.search(layers[-1]):
        layers.append(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), layers[-1]))
    return layers


def _variants(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text; without invisible characters; and with lines joined, which may join too much."""
    yield text, False
    visible = _INVISIBLE.sub("", text)
    if visible != text:
        yield visible, False
    for broken in _BROKEN:
        joined = broken.sub(lambda found: found[1] + re.sub(_BREAK, "", found[2]), visible)
        if joined != visible:
            yield joined, True


def _links(text: str) -> Iterator[FoundLink]:
    bare = None if "://" in text.partition("/msg/")[0].partition("/receipt/")[0] else _WITHOUT_SCHEME.match(text)
    if bare and (scheme := default_scheme(bare[1])):
        text = f"{scheme}://{text[bare.start(1) :]}"
    for found in _LINK.finditer(text):
        base, kind, name, query, run, password = found.groups()
        kind, address = kind.lower(), f"{base}/{kind.lower()}/{name.lower()}"
        fragment, damage = _read_key(run or "", text[found.end() :], hidden=run is None)
        if damage and (query or "").startswith("&"):
            fragment, damage = "", ""  # it is a fragment of the address around this one
        suffix = ".p" if password and fragment else ""
        yield FoundLink(kind, address, fragment + suffix, damage, certain=not query)


def _read_key(run: str, rest: str, *, hidden: bool) -> tuple[str, Damage]:
    """Return the secret at the beginning of a fragment, and what is wrong with it. `rest` follows `run`."""
    if not run:
        return "", "altered" if not hidden and re.match(r"[^\s?&:]\S{20}", rest) else ""
    secret = run[:_SECRET]
    if len(secret) == _SECRET and secret[-1] in _LAST and not run[_SECRET:].strip("-_"):
        return secret, ""
    cut = len(run) < _SECRET and not re.match(r"[^\s?&:<>\"'()\[\]|]*[0-9A-Za-z]", rest)
    return "", "cut-short" if cut else "altered"


def _without_link(text: str) -> BadLink:
    for layer in _layers(text):
        visible = _INVISIBLE.sub("", layer)
        if _CUT_ID.search(visible):
            return BadLink("The link is cut short: it ends within its id. Copy the whole link.", "cut-short")
        if _ALTERED_ID.search(visible):
            return BadLink(
                "This is not a link to a message or a receipt, or it was altered: its id is wrong.", "altered"
            )
    return BadLink("This is not a link to a message or a receipt.", "missing")
