"""The actions of people on the pages, by the labels that they see."""

from dataclasses import dataclass

from playwright.sync_api import BrowserContext, Page, expect

TEXT = "Grüße aus Zürich, 你好, 👩‍🚀 & <b>no HTML</b>\n  two lines"


@dataclass(frozen=True)
class Links:
    """The links that a sender gets."""

    message: str
    receipt: str


def write(who: BrowserContext, text: str, *, reads: str = "once", password: str = "", encrypt: bool = True) -> Links:
    """Write a message on a new page; return its links."""
    page = who.new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Can be read").select_option(label=reads)
    if password or not encrypt:
        open_options(page)
        page.get_by_label("Encrypt in this browser").set_checked(encrypt)
    if password:
        page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()
    return Links(
        page.get_by_label("Link", exact=True).input_value(), page.locator("#receipt").get_attribute("href") or ""
    )


def open_options(page: Page) -> None:
    """Unfold the options that few messages need."""
    page.get_by_text("Password and more").click()


def open_link(who: BrowserContext, link: str) -> Page:
    """Open a message's link on a new page, and wait until the page describes the message."""
    page = who.new_page()
    page.goto(link)
    expect(page.locator("#what")).not_to_contain_text("One moment")
    return page


def reveal(page: Page, password: str = "") -> None:
    """Press Reveal, with a password if there is one."""
    if password:
        page.get_by_label("Password").fill(password)
    page.locator("#reveal").click()


def reveal_without_key(page: Page) -> None:
    """Say that the link has no key, which reads a message whose reads are limited."""
    page.locator("#without-key").click()


def reads(page: Page, text: str) -> None:
    """Check that the page shows this message, as text."""
    expect(page.get_by_role("heading", name="The message")).to_be_focused()
    assert page.locator("#text").text_content() == text


def says(page: Page, words: str) -> None:
    """Check that the page says this in a region that screen readers announce."""
    expect(page.locator("[role=status], [role=alert]").filter(has_text=words)).to_be_visible()
