"""Name, logo, colour, notice and links of a service on its pages, by settings."""

from pathlib import Path

import pytest

from messaging_api.core.message import MessageLimits
from messaging_api.errors import SettingsError
from messaging_api.settings.server import Settings, load
from messaging_api.web.http_errors import UnknownAddress
from messaging_api.web.pages.assets import source
from messaging_api.web.pages.branding import Branding
from messaging_api.web.pages.pages import Pages
from messaging_api.web.problems import problem_of
from tests.support.requests import header_fields

LOGO = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def pages(folder: Path) -> Pages:
    (folder / "logo.SVG").write_bytes(LOGO)
    links = "https://x.example/imprint?a&b", "https://x.example/privacy"
    return Pages(MessageLimits(), Branding("A & B", str(folder / "logo.SVG"), "#7a1fa2", "Test <only>", *links))


def test_every_page_has_the_branding(tmp_path: Path) -> None:
    """Name, notice and links are escaped, on each page; nothing of messaging_api is left in the head of the page."""
    made = pages(tmp_path)
    bodies = [made.page(name, {}).body for name in ("index", "reader", "receipt")]
    bodies.append(made.created("http://h/m", "http://h/r", "2026-12-01T08:00:00.000Z", 1, {}).body)
    bodies += [made.problem(problem_of(UnknownAddress()), "/x", {}).body, made.sealed({}).body]
    bodies.append(made.shown("text", "2026-12-01T08:00:00.000Z", 0, {}).body)
    for body in bodies:
        text = body.decode()
        for part in ("A &amp; B</a>", "Test &lt;only&gt;", 'href="https://x.example/imprint?a&amp;b"', ">Privacy</a>"):
            assert part in text
        assert "messaging_api</a>" not in text


def test_logo_and_colour_are_files_of_the_service(tmp_path: Path) -> None:
    """The policy allows no other origin and no inline style, so both are served below /assets."""
    made = pages(tmp_path)
    text = made.page("receipt", {}).body.decode()
    served = {kind: text.split(f"../assets/{kind}.")[1].split('"')[0] for kind in ("logo", "branding")}
    logo, style = made.asset(f"logo.{served['logo']}", {}), made.asset(f"branding.{served['branding']}", {})
    assert logo
    assert style
    assert logo.body == LOGO
    assert header_fields(logo.block.plain)[b"content-type"] == b"image/svg+xml"
    assert b"--accent: #7a1fa2" in style.body
    assert 'class="brand-notice"' in text
    assert ".brand-notice {" in source("style.css")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page_accent", "#777777"),  # a contrast of 4.48
        ("page_accent", "#fff"),
        ("page_accent", "red"),
        ("page_logo", "logo.gif"),
        ("imprint_url", "javascript:alert(1)"),
        ("privacy_url", "/privacy"),
        ("page_name", ""),
    ],
)
def test_unusable_branding_is_an_error(name: str, text: str) -> None:
    """The error names the option."""
    with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} must be: "):
        load({name: text}, {})


def test_logo_is_checked_at_start(tmp_path: Path) -> None:
    """A logo that is missing or too large is an error of the settings."""
    logo = tmp_path / "logo.png"
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load({"page_logo": str(logo)}, {})
    logo.write_bytes(bytes(16 * 1024))
    assert load({"page_logo": str(logo), "page_accent": "#767676"}, {})[0].page_accent == "#767676"
    logo.write_bytes(bytes(16 * 1024 + 1))
    with pytest.raises(SettingsError, match="has more than 16384 bytes"):
        load({"page_logo": str(logo)}, {})


def test_default_branding_is_that_of_the_settings() -> None:
    """The pages without settings are those with the defaults of the settings."""
    settings = Settings()
    assert Branding() == Branding(
        settings.page_name,
        settings.page_logo,
        settings.page_accent,
        settings.page_notice,
        settings.imprint_url,
        settings.privacy_url,
    )
