"""What an operator can change on the pages: name, logo, colour, a notice, and links in the footer."""

import html
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

_DRAWN = (
    '<svg viewBox="0 0 32 32" aria-hidden="true">'
    '<path d="M8 3h16a5 5 0 0 1 5 5v11a5 5 0 0 1-5 5h-6l-6 5.5V24H8a5 5 0 0 1-5-5V8a5 5 0 0 1 5-5Z"/>'
    '<path class="hole" d="M16 8a3.4 3.4 0 0 1 1.7 6.3l.9 4.7h-5.2l.9-4.7A3.4 3.4 0 0 1 16 8Z"/></svg>'
)


class Branding(NamedTuple):
    """The look of one service. Empty texts stand for what the pages have by themselves.

    `logo` is the path of an SVG or PNG file, `accent` a colour as #rrggbb; `imprint` and `privacy` are addresses.
    """

    name: str = "messaging_api"
    logo: str = ""
    accent: str = ""
    notice: str = ""
    imprint: str = ""
    privacy: str = ""

    def files(self) -> dict[str, tuple[str, bytes]]:
        """Return the files that the pages need for it, by kind: the served name and the content. Raises OSError."""
        found: dict[str, tuple[str, bytes]] = {}
        if self.logo:
            path = Path(self.logo)
            found["logo"] = _hashed("logo", path.suffix.lower(), path.read_bytes())
        if self.accent:
            found["style"] = _hashed("branding", ".css", _style(self.accent).encode())
        return found

    def values(self, root: str, layout: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
        """Return the parts of the layout as HTML.

        `root` is the relative path to /, `layout` has the texts of the language, and `files` are those of `files()`.
        """
        names = {kind: f"{root}assets/{name}" for kind, (name, _) in files.items()}
        links = (("imprint", self.imprint), ("privacy", self.privacy))
        anchors = [f' <a href="{html.escape(link)}">{html.escape(layout[key])}</a>' for key, link in links if link]
        return {
            "brand_name": html.escape(self.name),
            "brand_logo": f'<img src="{names["logo"]}" alt="">' if "logo" in names else _DRAWN,
            "brand_style": f'<link rel="stylesheet" href="{names["style"]}">' if "style" in names else "",
            "brand_notice": f'<p class="brand-notice">{html.escape(self.notice)}</p>' if self.notice else "",
            "brand_links": "".join(anchors),
        }


DEFAULT = Branding()


def _style(accent: str) -> str:
    """Return the style sheet of a colour that is dark enough for white text, and a light form of it for dark pages."""

    def mixed(other: str, percent: int) -> str:
        return f"color-mix(in srgb, {accent}, {other} {percent}%)"

    light = f"--accent: {accent}; --accent-strong: {mixed('#000', 25)}; --tint: {mixed('#fff', 90)}"
    dark = f"--accent: {mixed('#fff', 65)}; --accent-strong: {mixed('#fff', 80)}; --tint: {mixed('#1b201f', 80)}"
    query = "@media screen and (prefers-color-scheme: dark)"
    return f":root {{ {light} }}\n{query} {{ :root {{ {dark}; --on-accent: #000 }} }}\n"


def _hashed(stem: str, kind: str, content: bytes) -> tuple[str, bytes]:
    return f"{stem}.{sha256(content).hexdigest()[:16]}{kind}", content
