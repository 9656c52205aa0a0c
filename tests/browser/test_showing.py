"""The text of a message on the reader's page: forms, links, paper, and browsers without JavaScript."""

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, reads, reveal, write
from tests.support.relay import Relay

LONG = "".join(f"line {number}\n" for number in range(400))
BROWSER = {"accept": "text/html"}


def shown(person: Person, text: str) -> Page:
    page = open_link(person(), write(person(), text).message)
    reveal(page)
    reads(page, text)
    return page


def styles(page: Page) -> list[str]:
    found: list[str] = page.locator("#text").evaluate(
        "e => { const s = getComputedStyle(e); return [s.whiteSpace, s.fontFamily.split(',')[0], s.tabSize] }"
    )
    return found


def test_text_is_shown_as_prose_or_code(person: Person) -> None:
    """Prose is the default; code is monospaced; lines can be kept whole; and the text can be hidden."""
    page = shown(person, "if x:\n\treturn 1")
    assert styles(page) == ["pre-wrap", "system-ui", "4"]
    page.get_by_role("button", name="As code").click()
    page.get_by_role("button", name="Wrap lines").click()
    assert styles(page) == ["pre", "ui-monospace", "4"]
    page.get_by_role("button", name="Hide").click()
    expect(page.locator("#text")).to_be_hidden()
    page.get_by_role("button", name="Hide").click()
    expect(page.locator("#text")).to_be_visible()


def test_addresses_in_the_text_are_links(person: Person) -> None:
    """An http address can be followed in a new tab, without a referrer; the page says whose it is. Others are text."""
    text = "See (https://example.org/a?b=1&c=2), not javascript:alert(1) or ftp://x.example."
    page = shown(person, text)
    links = page.locator("#text a")
    assert links.all_inner_texts() == ["https://example.org/a?b=1&c=2"]
    assert links.get_attribute("rel") == "noopener noreferrer nofollow"
    assert links.get_attribute("target") == "_blank"
    expect(page.get_by_text("Links in the message are the sender's")).to_be_visible()
    expect(shown(person, TEXT).get_by_text("Links in the message are the sender's")).to_be_hidden()


def test_whole_message_is_printed(person: Person) -> None:
    """All lines are on paper, and the controls are not."""
    page = shown(person, LONG)
    page.emulate_media(media="print")
    height = page.locator("#text").evaluate("e => [e.clientHeight, e.scrollHeight]")
    assert height[0] == height[1]
    for name in ("#copy", "#as-code", "header", "footer"):
        expect(page.locator(name)).to_be_hidden()
    assert page.pdf().count(b"/Type /Page\n") > 5


def test_message_is_saved_as_a_file(person: Person) -> None:
    """The file has the text."""
    page = shown(person, TEXT)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    assert download.value.suggested_filename == "message.txt"
    assert download.value.path().read_text() == TEXT


@pytest.fixture
def plain_reader(scriptless: Browser, relay: Relay) -> Page:
    """Open a page without JavaScript."""
    return scriptless.new_context(base_url=relay.url, java_script_enabled=False, locale="en-GB").new_page()


def test_plain_message_is_read_without_javascript(plain_reader: Page, relay: Relay) -> None:
    """A form shows the message, exactly and as text, and spends one read."""
    text = "\n<b>é</b>\r\n&amp;\tx"
    posted = httpx.post(relay.url, json={"message": text, "reads": 2}).json()
    for left in ("1 more time", "the last read"):
        plain_reader.goto(posted["url"])
        expect(plain_reader.locator("noscript section")).to_contain_text("Show it to read it.")
        plain_reader.get_by_role("button", name="Show message").click()
        expect(plain_reader.get_by_role("heading", name="The message")).to_be_visible()
        expect(plain_reader.locator("#after")).to_contain_text(left)
        assert plain_reader.locator("#text").text_content() == text
    plain_reader.goto(posted["url"])
    plain_reader.get_by_role("button", name="Show message").click()
    expect(plain_reader.get_by_role("heading", name="There is no message here")).to_be_visible()


def test_encrypted_message_is_not_read_without_javascript(plain_reader: Page, person: Person) -> None:
    """The form spends no read on a message that the browser cannot open."""
    links = write(person(), TEXT)
    plain_reader.goto(links.message)
    plain_reader.get_by_role("button", name="Show message").click()
    expect(plain_reader.get_by_text("This message is encrypted")).to_be_visible()
    page = open_link(person(), links.message)
    reveal(page)
    reads(page, TEXT)


def test_only_the_form_of_a_browser_reads_by_post(relay: Relay) -> None:
    """A program that posts to a link gets 405, and spends no read; so does a HEAD or GET for the page."""
    posted = httpx.post(relay.url, json={"message": TEXT, "reads": 1}).json()
    for accept in ("*/*", "application/json", "text/plain", ""):
        assert httpx.post(posted["url"], headers={"accept": accept}).status_code == 405
    for method in ("GET", "HEAD"):
        assert httpx.request(method, posted["url"], headers=BROWSER).status_code == 200
    assert httpx.get(posted["receipt"]).json()["reads_left"] == 1
    answer = httpx.post(posted["url"], headers=BROWSER)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    assert httpx.get(posted["receipt"]).json()["state"] == "read"


def test_heading_follows_the_state(person: Person) -> None:
    """The heading says what the page shows, and a page without a message has no empty lines."""
    links = write(person(), TEXT)
    page = open_link(person(), links.message)
    assert page.get_by_role("heading").all_inner_texts() == ["A message for you"]
    reveal(page)
    reads(page, TEXT)
    assert page.get_by_role("heading").all_inner_texts() == ["The message"]
    gone = open_link(person(), links.message)
    assert gone.get_by_role("heading").all_inner_texts() == ["No message"]
    expect(gone.locator("#facts")).to_be_hidden()


def test_plain_message_is_not_called_an_error(person: Person, relay: Relay) -> None:
    """A plain message without limits is shown at once, without a word about keys."""
    page = open_link(person(), httpx.post(relay.url, json={"message": TEXT}).json()["url"])
    assert "key" not in page.locator("main").inner_text()
    reveal(page)
    reads(page, TEXT)


def test_dates_have_a_time_zone(person: Person) -> None:
    """Times say in which zone they are."""
    page = open_link(person(timezone_id="Europe/Vienna"), write(person(), TEXT).message)
    expect(page.locator("#facts")).to_have_text(re.compile(r"at \d\d:\d\d (CET|CEST|GMT\+[12])\.$"))


def test_code_of_the_link_enlarges(person: Person) -> None:
    """The QR code can be made larger, for a camera at a distance."""
    who = person()
    write(who, TEXT)
    page = who.pages[-1]
    small = page.locator("#qr").bounding_box()
    page.get_by_role("button", name="Enlarge").click()
    large = page.locator("#qr").bounding_box()
    assert small
    assert large
    assert large["width"] > 2 * small["width"]
