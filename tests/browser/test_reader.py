"""The reader page: cases of messages and links, and the text that it shows for each."""

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, reads, reveal, reveal_without_key, says, write
from tests.support.relay import Relay
from tests.support.service import Running

JSON = {"accept": "application/json"}


def test_message_with_two_reads_is_read_twice(person: Person) -> None:
    """The page shows the reads left before and after; the third person sees that the message is gone."""
    links = write(person(), TEXT, reads="2 times")
    for told, left in (("2 more times", "1 more time"), ("read once", "the last read")):
        page = open_link(person(), links.message)
        says(page, told)
        reveal(page)
        reads(page, TEXT)
        expect(page.locator("#left")).to_contain_text(left)
    says(open_link(person(), links.message), "There is no message here.")


def test_custom_expiry_and_reads_are_accepted(person: Person) -> None:
    """The form takes a date, another number of reads, or unlimited reads."""
    who = person()
    page = who.new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(TEXT)
    page.get_by_label("Expires").select_option(label="At a date …")
    date = page.get_by_label("Date and time")
    expect(date).to_be_focused()
    latest = date.get_attribute("max")
    assert latest
    date.fill(latest)
    page.get_by_label("Can be read").select_option(label="Another number …")
    page.get_by_label("Number of times").fill("7")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_text("Can be read 7 times.")).to_be_visible()
    receipt = httpx.get(page.locator("#receipt").get_attribute("href") or "", headers=JSON).json()
    assert receipt["reads"] == 7
    assert receipt["expires_at"].startswith(latest)
    page.get_by_role("button", name="Write another message").click()
    page.get_by_label("Message", exact=True).fill(TEXT)
    expect(page.get_by_label("Number of times")).to_be_hidden()
    page.get_by_label("Can be read").select_option(label="any number of times")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_text("Can be read any number of times.")).to_be_visible()
    link = page.get_by_label("Link", exact=True).input_value()
    for _ in range(2):
        again = open_link(person(), link)
        says(again, "any number of times until it expires")
        reveal(again)
        reads(again, TEXT)


def test_page_is_the_same_for_every_id(service: Running, person: Person) -> None:
    """A link with a message and one without get the same bytes and headers for any id."""
    links = write(person(), TEXT)
    held = links.message.partition("#")[0].rpartition("/")[2]
    answers = []
    for name in (held, "00000000-0000-4000-8000-000000000000", "x"):
        answer = httpx.get(f"{service.url}/msg/{name}", headers={"accept": "text/html"})
        own = {"date", "x-request-id"}
        answers.append((answer.content, {name: value for name, value in answer.headers.items() if name not in own}))
    assert answers[0] == answers[1] == answers[2]


def test_opening_a_link_sends_only_head(person: Person, relay: Relay) -> None:
    """Before Reveal, only HEAD requests the message."""
    links = write(person(), TEXT)
    address = links.message.partition("#")[0].removeprefix(relay.url)
    reader = person()
    asked: list[str] = []
    reader.on("request", lambda request: asked.append(f"{request.resource_type} {request.method}"))
    page = open_link(reader, links.message)
    assert f"GET {address} ".encode() in relay.sent, "the page itself"
    assert [one for one in asked if one.startswith("fetch")] == ["fetch HEAD"]
    reveal(page)
    reads(page, TEXT)
    assert [one for one in asked if one.startswith("fetch")] == ["fetch HEAD", "fetch GET"]


def test_wrong_password_spends_no_read(person: Person) -> None:
    """The message stays in the page until the right password opens it, though it could be fetched only once."""
    links = write(person(), TEXT, password="right")
    page = open_link(person(), links.message)
    reveal(page)
    says(page, "Type the password first.")
    reveal(page, "wrong")
    says(page, "This password does not open the message")
    reveal(page, "right")
    reads(page, TEXT)


def test_link_without_its_suffix_asks_for_the_password(person: Person) -> None:
    """A link without its .p asks for the password after the message was fetched."""
    links = write(person(), TEXT, password="right")
    page = open_link(person(), links.message.removesuffix(".p"))
    reveal(page)
    says(page, "Type the password first.")
    reveal(page, "right")
    reads(page, TEXT)


def test_link_without_its_key_can_be_completed(person: Person) -> None:
    """If the reader goes on without a key, the fetched message stays, and the whole link opens it."""
    links = write(person(), TEXT)
    page = open_link(person(), links.message.partition("#")[0])
    says(page, "This link has no key")
    reveal_without_key(page)
    says(page, "The message is encrypted, and the link has no key.")
    field = page.get_by_label("The whole link")
    expect(field).to_be_focused()
    field.fill(links.message[:-2] + ("E" if links.message[-2] == "A" else "A") + links.message[-1])
    reveal(page)
    says(page, "This is not the key of this message.")
    field.fill(links.message)
    reveal(page)
    reads(page, TEXT)


def test_truncated_key_spends_no_read(person: Person) -> None:
    """A truncated link is reported before any request; the whole link, pasted instead, still works."""
    links = write(person(), TEXT)
    reader = person()
    page = reader.new_page()
    page.goto(links.message[:-5])
    says(page, "The link is not complete")
    reveal(page)
    expect(page.get_by_role("alert")).to_contain_text("part of the key after the # is missing")
    page.goto(links.message)
    says(page, "It can be read once.")
    reveal(page)
    reads(page, TEXT)


def test_wrong_key_shows_nothing(person: Person) -> None:
    """A changed link shows nothing."""
    links = write(person(), TEXT)
    address, _, key = links.message.partition("#")
    page = open_link(person(), f"{address}#{'A' if key[0] != 'A' else 'B'}{key[1:]}")
    reveal(page)
    says(page, "The key in the link does not open this message")


def test_plain_message_is_not_shown_for_a_link_with_a_key(person: Person, relay: Relay) -> None:
    """A link that promises an encrypted message never shows another one."""
    links = write(person(), "put there by the server", encrypt=False)
    page = open_link(person(), f"{links.message}#{'A' * 43}")
    reveal(page)
    says(page, "what the server sent is not encrypted")
    expect(page.locator("#text")).to_have_text("")


def test_unencrypted_message_is_read(person: Person, relay: Relay) -> None:
    """A message posted by curl is shown on the page, as text."""
    posted = httpx.post(relay.url, json={"message": TEXT, "reads": 1}).json()
    page = open_link(person(), posted["url"])
    reveal_without_key(page)
    reads(page, TEXT)
    assert page.locator("#text *").count() == 0


def test_html_in_a_message_is_shown_as_text(person: Person) -> None:
    """HTML in a message never becomes part of the page."""
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    page = open_link(person(), write(person(), attack).message)
    reveal(page)
    reads(page, attack)
    assert page.title() == "A message for you"


ATTEMPTS = {
    "html": "() => { try { document.body.innerHTML = 'x'; return 'done' } catch (e) { return e.name } }",
    "code": "() => { try { setTimeout('1'); return 'done' } catch (e) { return e.name } }",
    "elsewhere": """async () => {
      const refused = new Promise((tell) => addEventListener("securitypolicyviolation", tell, { once: true }));
      fetch("http://127.0.0.2:9/").catch(() => null);
      return (await refused).effectiveDirective;
    }""",
}


@pytest.mark.parametrize("path", ["/", "/msg/x", "/receipt/x", "/docs"])
def test_content_security_policy_is_enforced(chromium: Browser, relay: Relay, path: str) -> None:
    """On each page no script can turn text into HTML or code, and none can reach another origin."""
    with chromium.new_context(base_url=relay.url) as context:
        page = context.new_page()
        page.goto(path)
        done = {name: page.evaluate(attempt) for name, attempt in ATTEMPTS.items()}
    assert done == {"html": "TypeError", "code": "TypeError", "elsewhere": "connect-src"}
