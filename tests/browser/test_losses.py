"""Damaged links, pages without encryption and closed tabs: a message is never lost by the page."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, Links, open_link, reads, reveal, says, write
from tests.support.relay import Relay

JSON = {"accept": "application/json"}


def state(links: Links) -> str:
    """Return the state of the message."""
    found: str = httpx.get(links.receipt, headers=JSON).json()["state"]
    return found


def altered(link: str) -> str:
    """Return the link with another first character of its key."""
    address, _, key = link.partition("#")
    return f"{address}#{'B' if key[0] == 'A' else 'A'}{key[1:]}"


def asks(page: Page, leave: Callable[[], object]) -> bool:
    """Leave the page by `leave`; return whether it asked before."""
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    leave()
    page.remove_listener("dialog", answer)
    return asked == ["beforeunload"]


def test_altered_key_keeps_the_message(person: Person) -> None:
    """After an altered link the fetched message stays in the page, and the right link opens it."""
    links = write(person(), TEXT)
    page = open_link(person(), altered(links.message))
    reveal(page)
    says(page, "The key in the link does not open this message")
    field = page.get_by_label("The whole link")
    expect(field).to_be_focused()
    field.fill(links.message[:-5])
    reveal(page)
    expect(page.get_by_role("alert")).to_contain_text("part of the key after the # is missing")
    expect(page.get_by_role("alert")).not_to_contain_text("Nothing was read")
    field.fill(links.message)
    reveal(page)
    reads(page, TEXT)


@pytest.mark.parametrize("damage", ["altered", "without key"])
def test_right_link_in_the_address_bar_opens_what_was_fetched(person: Person, damage: str) -> None:
    """A new fragment is tried on the message that was fetched; the page is not loaded again."""
    links = write(person(), TEXT)
    page = open_link(person(), altered(links.message) if damage == "altered" else links.message.partition("#")[0])
    page.locator("#reveal" if damage == "altered" else "#without-key").click()
    expect(page.get_by_label("The whole link")).to_be_focused()
    page.evaluate("link => { location.href = link }", links.message)
    reads(page, TEXT)


def test_new_fragment_is_described_before_reading(person: Person) -> None:
    """A new fragment on a page that has fetched nothing changes what it asks for, and reads nothing."""
    links = write(person(), TEXT, password="pw")
    page = open_link(person(), links.message.partition("#")[0])
    expect(page.get_by_label("Password")).to_be_hidden()
    page.evaluate("link => { location.href = link }", links.message)
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page.get_by_label("The whole link")).to_be_hidden()
    assert state(links) == "available"
    reveal(page, "pw")
    reads(page, TEXT)


def test_limited_message_is_not_fetched_without_a_key(person: Person) -> None:
    """A link without its key asks for the whole link first, and opens the message with it."""
    links = write(person(), TEXT)
    page = open_link(person(), links.message.partition("#")[0])
    says(page, "This link has no key")
    reveal(page)
    says(page, "Paste the whole link first.")
    assert state(links) == "available"
    page.get_by_label("The whole link").fill(links.message)
    reveal(page)
    reads(page, TEXT)


def test_pasted_link_of_another_message_is_not_used(person: Person) -> None:
    """A key is tried only on the message that its link names; a truncated or altered one spends nothing either."""
    links, other = write(person(), TEXT), write(person(), "another")
    page = open_link(person(), links.message.partition("#")[0])
    for pasted, words in (
        (other.message, "the link of another message"),
        (links.message[:-5], "part of the key after the # is missing"),
        (links.message.partition("#")[0], "part of the key after the # is missing"),
    ):
        page.get_by_label("The whole link").fill(pasted)
        reveal(page)
        says(page, words)
        says(page, "Nothing was read.")
    assert {state(links), state(other)} == {"available"}


def test_truncated_link_offers_a_field(person: Person) -> None:
    """The whole link can be pasted where a truncated one was opened."""
    links = write(person(), TEXT)
    page = person().new_page()
    page.goto(links.message[:-5])
    says(page, "part of the key after the # is missing")
    page.get_by_label("The whole link").fill(links.message)
    reveal(page)
    reads(page, TEXT)


def test_page_without_https_fetches_no_encrypted_message(chromium: Browser, person: Person, relay: Relay) -> None:
    """Where the browser cannot decrypt, a link with or without its key is told before anything is fetched."""
    links = write(person(), TEXT)
    with chromium.new_context(base_url=relay.url.replace("127.0.0.1", "plain.test"), locale="en-GB") as who:
        asked: list[str] = []
        who.on("request", lambda request: asked.append(f"{request.resource_type} {request.method}"))
        link = links.message.replace("127.0.0.1", "plain.test")
        for opened in (link, link.partition("#")[0]):
            page = open_link(who, opened)
            says(page, "decrypt only on pages that came over HTTPS")
            expect(page.locator("#reveal")).to_be_hidden()
    assert "fetch GET" not in asked
    assert state(links) == "available"


def test_unopened_message_can_be_saved(person: Person) -> None:
    """What was fetched and cannot be opened is not lost: the page offers it as a file."""
    links = write(person(), "put there by the server", encrypt=False)
    page = open_link(person(), f"{links.message}#{'A' * 43}")
    reveal(page)
    says(page, "what the server sent is not encrypted")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save what was fetched").click()
    assert download.value.path().read_text() == "put there by the server"


def test_leaving_asks_while_the_text_is_not_sent(person: Person) -> None:
    """Leaving asks while there is text; an empty form does not ask."""
    page = person().new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).click()
    assert not asks(page, page.reload)
    page.get_by_label("Message", exact=True).fill(TEXT)
    assert asks(page, page.reload)


def test_leaving_asks_while_the_link_is_not_copied(person: Person) -> None:
    """The link cannot be had again, so leaving asks until it was copied, by the button or by hand."""
    for copied in ("", "button", "hand"):
        who = person()
        who.grant_permissions(["clipboard-read", "clipboard-write"])
        write(who, TEXT)
        page = who.pages[-1]
        if copied == "button":
            page.get_by_role("button", name="Copy link").click()
            says(page, "Copied")
        if copied == "hand":
            page.get_by_label("Link", exact=True).focus()
            page.keyboard.press("Control+A")
            page.keyboard.press("Control+C")
        assert asks(page, page.reload) == (copied == ""), copied


def test_leaving_asks_while_the_last_copy_is_on_screen(person: Person) -> None:
    """It asks while the last copy is unopened, and while it is shown and was not copied."""
    who = person()
    who.grant_permissions(["clipboard-read", "clipboard-write"])
    links = write(person(), TEXT, password="right")
    page = open_link(who, links.message)
    page.get_by_label("Password").click()
    assert not asks(page, page.reload)
    reveal(page, "wrong")
    says(page, "This password does not open")
    assert asks(page, page.reload)
    reveal(page, "right")
    reads(page, TEXT)
    page.get_by_role("button", name="Copy message").click()
    says(page, "Copied")
    assert not asks(page, page.reload)
    links = write(person(), TEXT)
    page = open_link(who, links.message)
    reveal(page)
    reads(page, TEXT)
    assert asks(page, lambda: page.goto("/"))


def test_leaving_does_not_ask_while_there_are_reads_left(person: Person) -> None:
    """A message that can be opened again is not held."""
    page = open_link(person(), write(person(), TEXT, reads="any number of times").message)
    reveal(page)
    reads(page, TEXT)
    assert not asks(page, lambda: page.goto("/"))
