"""Accessibility: keyboard, screen reader, small screens, dark mode, another language, little data."""

import io
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import zxingcpp
from axe_playwright_python.base import AXE_SCRIPT
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Request, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, Links, open_link, open_options, reads, reveal, reveal_without_key, says, write
from tests.support.relay import Relay

SHIFT = """() => new Promise((tell) => {
  const shifts = [];
  const watch = new PerformanceObserver((list) => shifts.push(...list.getEntries()));
  watch.observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => setTimeout(() => tell(shifts.reduce((sum, one) => sum + one.value, 0)), 50));
})"""


def violations(page: Page) -> list[Any]:
    """Return the violations that axe-core finds on the page as it is."""
    page.evaluate(AXE_SCRIPT)
    found: list[Any] = page.evaluate(
        "async () => (await axe.run()).violations.map((one) => [one.id, one.nodes.map((node) => node.html)])"
    )
    return found


def states_of_writing(who: BrowserContext) -> Iterator[tuple[str, Page]]:
    """Yield the page at / in each of its states, and the pages reached from it."""
    write(who, TEXT, password="pw")
    for folded in ("Other ways to send it", "Track or delete it"):
        who.pages[-1].get_by_text(folded).click()
    yield "the link", who.pages[-1]
    page = who.new_page()
    page.goto("/")
    yield "write", page
    open_options(page)
    page.get_by_label("Expires").select_option(label="At a date …")
    page.get_by_label("Can be read").select_option(label="Another number …")
    page.get_by_label("Message", exact=True).fill("x" * 40_000)
    yield "write, with more choices", page
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(TEXT)
    page.evaluate("document.getElementById('form').submit()")
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
    yield "posted by form", page
    page.goto("/docs")
    yield "docs", page


def states_of_reading(who: BrowserContext, links: Links, bare: str) -> Iterator[tuple[str, Page]]:
    """Yield the page of a message in each of its states; `links` need the password "pw", `bare` lacks its key."""
    page = open_link(who, links.message)
    yield "before", page
    reveal(page, "wrong")
    says(page, "This password does not open")
    yield "wrong password", page
    reveal(page, "pw")
    reads(page, TEXT)
    yield "the message", page
    yield "gone", open_link(who, links.message)
    yield "cut off", open_link(who, links.message[:-4])
    page = open_link(who, bare)
    reveal_without_key(page)
    says(page, "The message is encrypted, and the link has no key.")
    yield "key missing", page


def states_of_a_receipt(who: BrowserContext, address: str) -> Iterator[tuple[str, Page]]:
    """Yield the page of a receipt whose message can still be read."""
    page = who.new_page()
    page.goto(address)
    expect(page.locator("#state")).to_have_text("Not read yet")
    yield "receipt", page
    page.get_by_role("button", name="Delete …").click()
    yield "asking", page
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#state")).to_have_text("Deleted")
    yield "burned", page


def every_state(who: BrowserContext) -> Iterator[tuple[str, Page]]:
    """Yield each page in each of its states."""
    yield from states_of_writing(who)
    bare = write(who, TEXT).message.partition("#")[0]
    yield from states_of_reading(who, write(who, TEXT, password="pw"), bare)
    yield from states_of_a_receipt(who, write(who, TEXT).receipt)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_violation(person: Person, colours: str) -> None:
    """axe-core finds no violation in any state of any page."""
    found = {state: violations(page) for state, page in every_state(person(color_scheme=colours))}
    assert len(found) == 14
    assert {state: wrong for state, wrong in found.items() if wrong} == {}


def test_axe_finds_an_inserted_violation(person: Person) -> None:
    """The check above can fail."""
    page = person().new_page()
    page.goto("/")
    page.locator("label[for=message]").evaluate("label => label.remove()")
    assert "label" in {name for name, _ in violations(page)}


@pytest.mark.parametrize("width", [320, 1280])
def test_pages_fit_screens_of_320_px(person: Person, width: int) -> None:
    """From 320 px on nothing is cut off at the side, and each control is at least 24 px each way (WCAG 2.5.8)."""
    who = person(viewport={"width": width, "height": 700}, reduced_motion="reduce")
    for state, page in every_state(who):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state
        small = """() => [...document.querySelectorAll("button, input, select, textarea, .brand, nav a")]
          .filter((one) => one.checkVisibility() && !one.matches("input[readonly]"))
          .filter((one) => Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 24)
          .map((one) => one.outerHTML)"""
        assert page.evaluate(small) == [], state
        moving = "document.getAnimations().length + [...document.querySelectorAll('button')].filter("
        moving += "(one) => getComputedStyle(one).transitionDuration !== '0s').length"
        assert page.evaluate(moving) == 0, state


def test_pages_work_by_keyboard_alone(person: Person) -> None:
    """Write, create, copy and read work without a pointer; focus moves to what changed."""
    who = person()
    who.grant_permissions(["clipboard-read", "clipboard-write"])
    page = who.new_page()
    page.goto("/")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("typed")
    for name in ("Expires", "Can be read"):
        page.keyboard.press("Tab")
        expect(page.get_by_label(name)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Encrypt in this browser")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Create link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    says(page, "Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.get_by_label("Link", exact=True).input_value()
    reader = who.new_page()
    reader.goto(link)
    says(reader, "It can be read once.")
    for _ in range(3):
        reader.keyboard.press("Tab")
    expect(reader.get_by_role("button", name="Show message")).to_be_focused()
    reader.keyboard.press("Enter")
    reads(reader, "typed")


def test_denied_clipboard_selects_the_link(person: Person) -> None:
    """If the browser denies access to the clipboard, the text is selected and the page says so."""
    who = person()
    write(who, TEXT)
    page = who.pages[-1]
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy link").click()
    says(page, "The browser does not let us copy.")
    selected = (
        "document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)"
    )
    assert page.evaluate(selected) == page.get_by_label("Link", exact=True).input_value()
    page.get_by_text("Track or delete it").click()
    page.locator("#copy-receipt").click()
    assert page.evaluate("String(getSelection())") == page.locator("#receipt").inner_text()


def test_qr_code_contains_the_link(person: Person) -> None:
    """A camera reads the exact link from the page, also in dark mode."""
    for colours in ("light", "dark"):
        who = person(color_scheme=colours)
        link = write(who, TEXT, password="a password").message
        code = who.pages[-1].get_by_role("img", name="QR code of the link")
        image = Image.open(io.BytesIO(code.screenshot()))
        assert [found.text for found in zxingcpp.read_barcodes(image)] == [link]


def test_german_browser_gets_german_pages(person: Person) -> None:
    """The page, its scripts, dates and plurals are in German."""
    who = person(locale="de-AT")
    page = who.new_page()
    page.goto("/")
    assert page.locator("html").get_attribute("lang") == "de"
    expect(page.locator("#room")).to_have_text("Bis zu 44 KB Text.")
    page.get_by_label("Nachricht", exact=True).fill(TEXT)
    page.get_by_label("Kann gelesen werden").select_option(label="2-mal")
    page.get_by_role("button", name="Link erstellen").click()
    expect(page.get_by_role("heading", name="Ihr Link ist fertig")).to_be_focused()
    expect(page.get_by_text(re.compile(r"Läuft ab am \w+, \d+\. \w+ 2\d{3} um \d\d:\d\d"))).to_be_visible()
    opened = who.new_page()
    opened.goto(page.get_by_label("Link", exact=True).input_value())
    says(opened, "Sie kann noch 2-mal gelesen werden.")
    opened.get_by_role("button", name="Nachricht zeigen").click()
    expect(opened.get_by_role("heading", name="Die Nachricht")).to_be_focused()
    assert violations(opened) == []


@pytest.mark.parametrize("width", [320, 1280])
def test_right_to_left_pages_are_mirrored(person: Person, width: int) -> None:
    """In Hebrew the page runs from right to left, fits, and says that it was translated by a machine."""
    who = person(locale="he-IL", viewport={"width": width, "height": 700})
    page = who.new_page()
    page.goto("/")
    assert page.locator("html").get_attribute("dir") == "rtl"
    page.locator("#message").fill(TEXT)
    page.locator("#send").click()
    expect(page.locator("#qr")).to_be_visible()
    link = page.locator("#link").input_value()
    expect(page.get_by_text("תרגום מכונה")).to_have_count(1)
    opened = who.new_page()
    opened.goto(link)
    opened.locator("#reveal").click()
    expect(opened.locator("#text")).to_have_text(TEXT)
    for each in (page, opened):
        assert violations(each) == []
        assert each.evaluate("document.documentElement.scrollWidth <= innerWidth")
        left, right = each.locator(".brand svg").evaluate("e => [e.getBoundingClientRect().left, innerWidth]")
        assert left > right / 2


@pytest.mark.parametrize(("width", "tongue"), [(320, "en-GB"), (360, "de-DE"), (1280, "en-GB")])
def test_pages_load_without_layout_shift(person: Person, width: int, tongue: str) -> None:
    """Cumulative layout shift is below a hundredth on every page; Core Web Vitals call up to a tenth good.

    It is 0, but on a busy machine a script may run after the first paint.
    """
    links = write(person(), TEXT, password="pw")
    who = person(viewport={"width": width, "height": 700}, locale=tongue)
    shifts = {}
    for path in (
        "/",
        links.message,
        links.message.partition("#")[0],
        links.message[:-4],
        links.receipt,
        "/msg/x",
        "/docs",
    ):
        page = who.new_page()
        page.goto(path)
        page.wait_for_load_state("networkidle")
        shifts[path.partition("#")[0].removeprefix("http://")] = page.evaluate(SHIFT)
    assert {path: shift for path, shift in shifts.items() if shift >= 0.01} == {}


def test_pages_are_small(person: Person, relay: Relay) -> None:
    """Writing takes at most 5 requests and 40 KB, including QR code and icon; reading takes less."""
    who = person()
    loaded: dict[str, int] = {}

    def load(request: Request) -> None:
        if request.method == "GET":
            loaded[request.url.removeprefix(relay.url).partition("#")[0]] = 0

    who.on("request", load)
    links = write(who, TEXT)
    expect(who.pages[-1].get_by_role("img", name="QR code of the link")).to_be_visible()
    who.pages[-1].wait_for_load_state("networkidle")
    icon = re.search(r'rel="icon"[^>]* href="\./([^"]+)', httpx.get(relay.url, headers={"accept": "text/html"}).text)
    assert icon
    loaded[f"/{icon[1]}"] = 0  # which a browser without a window need not load
    assert sorted(path.rpartition(".")[2] for path in loaded) == ["/", "css", "js", "js", "svg"]
    for path in loaded:
        with httpx.stream(
            "GET", relay.url + path, headers={"accept": "text/html", "accept-encoding": "br, gzip"}
        ) as answer:
            loaded[path] = sum(map(len, answer.iter_raw()))
            assert answer.headers["content-encoding"] in ("br", "gzip")
    assert sum(loaded.values()) <= 40 * 1024
    before = relay.sent.count(b"/assets/style.")
    open_link(who, links.message)
    assert relay.sent.count(b"/assets/style.") == before, "files are kept, and not asked for again"
