"""The sender's page: the state of a message, and burning it."""

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, reads, reveal, says, write


def receipt_of(who: Person, address: str) -> Page:
    page = who().new_page()
    page.goto(address)
    expect(page.locator("#state")).not_to_contain_text("One moment")
    return page


def read_by(who: Person, link: str) -> None:
    page = open_link(who(), link)
    reveal(page)
    reads(page, TEXT)


def facts(page: Page) -> list[str]:
    return page.locator("dd").all_inner_texts()[:2]


def test_refresh_shows_the_current_state(person: Person) -> None:
    """State and reads left are updated each time Refresh is pressed."""
    links = write(person(), TEXT, reads="2 times")
    page = receipt_of(person, links.receipt)
    says(page, "Not read yet")
    assert facts(page) == ["2", "2"]
    read_by(person, links.message)
    page.get_by_role("button", name="Refresh").click()
    says(page, "Read 1 time of 2")
    expect(page.locator("#left")).to_have_text("1")
    read_by(person, links.message)
    page.get_by_role("button", name="Refresh").click()
    says(page, "Read by all its readers")
    assert facts(page) == ["2", "none"]
    expect(page.get_by_role("button", name="Delete …")).to_be_hidden()


def test_page_refreshes_itself_while_it_is_visible(person: Person) -> None:
    """What became of the message appears without a click; then the page stops asking."""
    links = write(person(), TEXT)
    page = person().new_page()
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.resource_type))
    page.goto(links.receipt)
    says(page, "Not read yet")
    read_by(person, links.message)
    page.clock.run_for(10_000)
    says(page, "Read by all its readers")
    count = asked.count("fetch")
    page.clock.run_for(60_000)
    assert asked.count("fetch") == count == 2


def test_burn_asks_for_confirmation(person: Person) -> None:
    """Keep, Escape and Burn are offered; only the last burns, and the reader finds no message."""
    links = write(person(), TEXT, reads="any number of times")
    page = receipt_of(person, links.receipt)
    assert facts(page) == ["any number", "any number"]
    burn = page.get_by_role("button", name="Delete …")
    burn.click()
    dialog = page.get_by_role("dialog", name="Delete the message?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_be_hidden()
    burn.click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(burn).to_be_focused()
    assert httpx.get(links.receipt).json()["state"] == "available"
    burn.click()
    dialog.get_by_role("button", name="Delete it").click()
    expect(page.locator("#state")).to_have_text("Deleted")
    expect(page.locator("#state")).to_be_focused()
    assert httpx.get(links.receipt).json()["state"] == "burned"
    says(open_link(person(), links.message), "There is no message here.")


def test_burning_a_read_message_reports_it_as_read(person: Person) -> None:
    """A sender that burns a message that was read meanwhile sees that it was read."""
    links = write(person(), TEXT)
    page = receipt_of(person, links.receipt)
    read_by(person, links.message)
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("button", name="Delete it").click()
    says(page, "Read by all its readers")
    says(page, "It was gone already.")


def test_unknown_receipt_offers_no_burn(person: Person) -> None:
    """An address without a receipt says so and has no button to burn."""
    page = receipt_of(person, "/receipt/00000000-0000-4000-8000-000000000000")
    says(page, "There is nothing here.")
    expect(page.get_by_role("button")).to_have_count(0)
