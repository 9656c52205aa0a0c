"""Links are found by the page's script as by the client: the cases are those of `tests/unit/test_links.py`."""

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from messaging_api.web.pages.assets import source

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "links.json").read_text())

FIND = """async ({ module, text, kind }) => {
  const { findLink } = await import(module);
  try {
    const { address, fragment } = findLink(text, kind);
    return fragment ? `${address}#${fragment}` : address;
  } catch (error) {
    return error.reason ?? String(error);
  }
}"""
MODULE = "data:text/javascript;base64," + base64.b64encode(source("links.js").encode()).decode()


@pytest.fixture(scope="module")
def blank(chromium: Browser) -> Page:
    """Open an empty page."""
    return chromium.new_page()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_links_are_found_in_pasted_text(blank: Page, case: dict[str, str]) -> None:
    """The script repairs a link as the client does, or gives the same reason why it cannot."""
    shown = blank.evaluate(FIND, {"module": MODULE, "text": case["text"], "kind": case["kind"]})
    assert shown == case.get("link", case.get("error"))
