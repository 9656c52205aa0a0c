"""The sender's page as people use it: the first screen, the choices, and the ways to hand the link on."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, open_options, reads, reveal, says, write
from tests.support.service import COMMAND, serving

COPIED = "navigator.clipboard.readText()"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
@pytest.mark.parametrize("tongue", ["en-GB", "de-DE", "fr-FR", "he-IL"])
def test_button_is_on_the_first_screen(person: Person, width: int, height: int, tongue: str) -> None:
    """The text, the choices and the button are visible without scrolling."""
    page = person(viewport={"width": width, "height": height}, locale=tongue).new_page()
    page.goto("/")
    for name in ("#message", "#life", "#reads", "#send"):
        expect(page.locator(name)).to_be_in_viewport(ratio=1)
    assert page.locator("#life").evaluate("e => e.getBoundingClientRect().top") == page.locator("#reads").evaluate(
        "e => e.getBoundingClientRect().top"
    )


def test_secret_is_not_checked_for_spelling(person: Person) -> None:
    """No field with a secret is spell-checked or completed: some browsers send such text to their vendor."""
    page = person().new_page()
    page.goto("/")
    for name in ("#message", "#password", "#link"):
        assert page.locator(name).evaluate("field => field.spellcheck") is False, name
    assert page.locator("#message").get_attribute("autocomplete") == "off"
    assert page.locator("#message").get_attribute("autocorrect") == "off"


def test_text_follows_its_own_direction(person: Person) -> None:
    """Right-to-left text is written and shown from right to left, line by line."""
    who = person()
    page = who.new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).fill("הסיסמה היא 1234!")
    style = "field => [getComputedStyle(field).direction, getComputedStyle(field).unicodeBidi]"
    assert page.locator("#message").evaluate(style) == ["rtl", "plaintext"]
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    opened = open_link(person(), page.get_by_label("Link", exact=True).input_value())
    reveal(opened)
    reads(opened, "הסיסמה היא 1234!")
    assert opened.locator("#text").evaluate(style) == ["rtl", "plaintext"]


def test_ctrl_enter_creates_the_link(person: Person) -> None:
    """Ctrl+Enter in the text sends it."""
    page = person().new_page()
    page.goto("/")
    page.keyboard.type("typed")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    expect(page).to_have_title("Share a message by link")
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["Your link is ready"]


def test_copying_is_confirmed_in_the_button(person: Person) -> None:
    """The button says that it copied, where the eye is, and then has its label again; its width stays."""
    who = person(viewport={"width": 360, "height": 740})
    who.grant_permissions(["clipboard-read", "clipboard-write"])
    write(who, TEXT)
    page = who.pages[-1]
    button = page.locator("#copy-link")
    before = button.bounding_box()
    button.click()
    expect(button).to_have_text("✓ Copied")
    expect(button).to_be_in_viewport(ratio=1)
    says(page, "Copied")
    after = button.bounding_box()
    assert before
    assert after
    assert after["width"] == before["width"]
    expect(button).to_have_text("Copy link")


def test_link_and_key_are_copied_apart(person: Person) -> None:
    """The link without its key and the key are copied each by a button; the reader joins them, and the password."""
    who = person()
    who.grant_permissions(["clipboard-read", "clipboard-write"])
    links = write(who, TEXT, password="pw")
    page = who.pages[-1]
    page.get_by_text("Other ways to send it").click()
    copied = {}
    for name in ("Copy link without key", "Copy key", "Copy password", "Copy with instructions"):
        page.get_by_role("button", name=name).click()
        says(page, "Copied")
        copied[name] = page.evaluate(COPIED)
        expect(page.get_by_role("button", name=name)).to_be_visible()
    assert f"{copied['Copy link without key']}#{copied['Copy key']}" == links.message
    assert copied["Copy password"] == "pw"
    assert copied["Copy with instructions"].startswith("Here is a message for you. Can be read once. Expires on ")
    assert copied["Copy with instructions"].endswith(f" Open this link to read it: {links.message}")
    reader = open_link(person(), copied["Copy link without key"])
    reader.get_by_label("The whole link").fill(copied["Copy key"])
    reveal(reader)
    says(reader, "Type the password first.")
    reveal(reader, "pw")
    reads(reader, TEXT)


def test_link_is_shared_where_the_browser_can(person: Person) -> None:
    """Share passes the link to the apps of a phone.

    Chromium without a screen has no such apps, so a function stands for them.
    """
    who = person()
    write(who, TEXT)
    expect(who.pages[-1].locator("#share")).to_be_hidden()
    who.add_init_script("navigator.share = async (data) => { window.shared = data }")
    links = write(who, TEXT)
    page = who.pages[-1]
    page.get_by_role("button", name="Share").click()
    assert links.message in page.evaluate("window.shared.text")


def test_password_is_generated(person: Person) -> None:
    """A generated password is shown, is new each time, and opens the message."""
    page = person().new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(TEXT)
    open_options(page)
    made = []
    for _ in range(2):
        page.get_by_role("button", name="Generate").click()
        made.append(page.get_by_label("Password").input_value())
    assert page.get_by_label("Password").get_attribute("type") == "text"
    assert all(re.fullmatch(r"([a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}", one) for one in made)
    assert made[0] != made[1]
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    opened = open_link(person(), page.get_by_label("Link", exact=True).input_value())
    reveal(opened, made[1])
    reads(opened, TEXT)


def test_choices_are_remembered(person: Person) -> None:
    """The life and the reads of the last message are selected the next time; nothing else is kept."""
    who = person()
    page = who.new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(TEXT)
    page.get_by_label("Expires").select_option(label="in 1 hour")
    page.get_by_label("Can be read").select_option(label="3 times")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_text("Can be read 3 times.")).to_be_visible()
    page.get_by_role("button", name="Write another message").click()
    for opened in (page, who.new_page()):
        if opened is not page:
            opened.goto("/")
        assert opened.locator("#life").input_value() == "3600"
        assert opened.locator("#reads").input_value() == "3"
    assert page.evaluate("JSON.stringify(localStorage)") == '{"choices":"{\\"life\\":\\"3600\\",\\"reads\\":\\"3\\"}"}'


def test_unencrypted_message_has_a_warning(person: Person) -> None:
    """That the server could read the message is marked as a warning, not as a fact that is fine."""
    who = person()
    write(who, TEXT, encrypt=False)
    fact = who.pages[-1].get_by_text("Not encrypted in the browser")
    assert fact.evaluate("item => getComputedStyle(item, '::before').content") == '"!"'


def test_token_is_asked_for_at_once_and_kept(chromium: Browser, tmp_path: Path) -> None:
    """A server with tokens asks before the first message; the tab keeps the token; a wrong one is told as such."""
    made = subprocess.run([COMMAND, "token"], capture_output=True, text=True, check=True).stdout
    token, digest = re.findall(r"^(?:token|hash): +(\S+)$", made, re.MULTILINE)
    with (
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", MESSAGING_API_CREATE_TOKENS=digest) as service,
        chromium.new_context(base_url=service.url, locale="en-GB") as who,
    ):
        page = who.new_page()
        page.goto("/")
        expect(page.get_by_label("Token")).to_be_visible()
        page.get_by_label("Message", exact=True).fill(TEXT)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Create link").click()
        says(page, "This server does not accept this token.")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Create link").click()
        for _ in range(2):
            expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
            page.reload()
            expect(page.get_by_label("Token")).to_have_value(token)
            page.get_by_label("Message", exact=True).fill(TEXT)
            page.get_by_role("button", name="Create link").click()


def test_longest_life_is_a_year(chromium: Browser, tmp_path: Path) -> None:
    """366 days are offered as a year."""
    with (
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--max-ttl", str(366 * 86_400)) as service,
        chromium.new_context(base_url=service.url, locale="en-GB") as who,
    ):
        page = who.new_page()
        page.goto("/")
        expect(page.get_by_label("Expires").get_by_role("option", name="in 1 year")).to_have_count(1)


def test_language_is_switched_in_the_footer(person: Person) -> None:
    """The switch keeps the key in the address, and the pages that are linked keep the language."""
    links = write(person(), TEXT)
    page = open_link(person(), links.message)
    page.get_by_role("link", name="Deutsch").click()
    says(page, "Sie kann einmal gelesen werden.")
    reveal(page)
    expect(page.locator("#text")).to_have_text(TEXT)
    page.get_by_role("link", name="messaging_api").click()
    expect(page.get_by_role("button", name="Link erstellen")).to_be_visible()
