"""Messages from a sender's page to a reader's, on each store, and the data that is sent on the way."""

import base64
import json
import re
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, reads, reveal, reveal_without_key, says, write
from tests.support.relay import Relay
from tests.support.service import wait_for

pytestmark = pytest.mark.parametrize("service", ["sqlite", "redis"], indirect=True)


@pytest.mark.parametrize("password", ["", "Pässwort 1"])
def test_message_is_read_in_another_browser(person: Person, password: str) -> None:
    """A message is written, linked and revealed in another browser context; then the receipt says so."""
    sender, reader = person(), person()
    links = write(sender, TEXT, password=password)
    assert re.fullmatch(r"http://[^#]+/msg/[0-9a-f-]{36}#[\w-]{43}(\.p)?", links.message)
    page = open_link(reader, links.message)
    says(page, "It can be read once.")
    reveal(page, password)
    reads(page, TEXT)
    expect(page.get_by_text("That was the last read.")).to_be_visible()
    receipt = sender.new_page()
    receipt.goto(links.receipt)
    says(receipt, "Read by all its readers")


def test_simultaneous_readers_get_one_read(person: Person) -> None:
    """Of two people who press Reveal at the same moment exactly one reads the message; the other sees why not."""
    sender, *readers = person(), person(), person()
    for _ in range(3):
        links = write(sender, TEXT)
        pages = [open_link(reader, links.message) for reader in readers]
        for page in pages:
            page.evaluate("document.getElementById('reveal').click()")
        for page in pages:
            expect(page.locator("#after:visible, #form[hidden]")).to_have_count(1)
        winners = [page for page in pages if page.locator("#after").is_visible()]
        assert [page.locator("#text").text_content() for page in winners] == [TEXT]
        says(next(page for page in pages if page not in winners), "Somebody else has read it since")


def test_expired_or_burned_message_is_reported(person: Person, relay: Relay) -> None:
    """An open page says what happened meanwhile; a page opened later says that there is no message."""
    expiring = httpx.post(relay.url, json={"message": TEXT, "ttl": 5}).json()
    burning = httpx.post(relay.url, json={"message": TEXT, "reads": 3}).json()
    first, second = open_link(person(), expiring["url"]), open_link(person(), burning["url"])
    httpx.delete(burning["receipt"])
    wait_for(lambda: httpx.get(expiring["receipt"]).json()["state"] == "expired")
    for page, press, words in (
        (first, reveal, "The message has expired."),
        (second, reveal_without_key, "or its sender has deleted it"),
    ):
        press(page)
        says(page, words)
    for posted in (expiring, burning):
        says(open_link(person(), posted["url"]), "There is no message here.")


BOTS = {
    "curl": {"accept": "*/*"},
    "slack": {
        "accept": "*/*",
        "user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "range": "bytes=0-32768",
    },
    "teams": {
        "accept": "text/html",
        "user-agent": "Mozilla/5.0 SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    },
    "whatsapp": {
        "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "user-agent": "WhatsApp/2.23.20.0",
    },
    "facebook": {"accept": "*/*", "user-agent": "facebookexternalhit/1.1", "accept-encoding": "gzip, deflate, br"},
    "mail scanner": {"user-agent": "Mozilla/5.0", "accept": "text/html, image/png;q=0.9, */*;q=0.1"},
}


def test_previews_spend_no_read(person: Person) -> None:
    """Bots that fetch a one-time link by GET or HEAD, and browsers that only open it, leave it unread."""
    links = write(person(), TEXT)
    address = links.message.partition("#")[0]
    for headers in BOTS.values():
        for method in ("GET", "HEAD"):
            answer = httpx.request(method, address, headers=headers)
            assert answer.status_code in (200, 428)
            assert "e2e1." not in answer.text
    for _ in range(3):
        open_link(person(), links.message)
    page = open_link(person(), links.message)
    reveal(page)
    reads(page, TEXT)


def test_browser_sends_no_secret(person: Person, relay: Relay) -> None:
    """None of the bytes that browsers sent are the key, the password or the text, in any encoding."""
    text, password = "The vault opens at seven, Zoë", "open sesame, Zoë"
    links = write(person(), text, password=password)
    page = open_link(person(), links.message)
    reveal(page, "wrong guess 1234")
    says(page, "This password does not open")
    reveal(page, password)
    reads(page, text)
    key = links.message.partition("#")[2].removesuffix(".p")
    raw = base64.urlsafe_b64decode(key + "=")
    secrets = {key, raw.hex(), base64.b64encode(raw).decode().rstrip("="), password, text, "wrong guess 1234"}
    forms = {one.encode() for one in secrets} | {raw}
    for one in (text, password):
        forms |= {
            quote(one).encode(),
            json.dumps(one)[1:-1].encode(),
            one.encode("utf-16-le"),
            one.encode().hex().encode(),
        }
        forms |= {base64.b64encode(one.encode())[:-4], base64.urlsafe_b64encode(one.encode())[:-4]}
    sent = relay.sent
    assert links.message.partition("#")[0].rpartition("/")[2].encode() in sent, "the relay sees what is sent"
    assert [form for form in forms if form in sent] == []
    assert b"\r\ncookie:" not in sent.lower()
    assert b"\r\nreferer:" not in sent.lower()
