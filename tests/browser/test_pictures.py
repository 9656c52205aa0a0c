"""The pictures of the pages in the README. `make pictures` takes them again."""

import io
import os
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.support.pages import open_link, reads, reveal
from tests.support.service import serving

KEPT = Path(__file__).parent.parent.parent / "docs" / "images"
NAMES = {"write.png", "link.png", "reader-phone.png", "message-phone-dark.png"}
TEXT = "The new code of the front door is 4711.\nPlease tell nobody — see you on Friday!"
ADDRESS = "https://msg.example.org"


def take(page: Page, folder: Path, name: str) -> None:
    """Take a picture of the page as it is, with few colors so that the file is small."""
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(folder / name, optimize=True)


def size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels."""
    with Image.open(path) as image:
        return image.size


def test_pictures_have_the_documented_sizes(chromium: Browser, tmp_path: Path) -> None:
    """Desktop, phone and dark, from the running service; those in docs/images have the same size, and are small."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    with (
        serving(tmp_path / "service", f"sqlite://{tmp_path}/m.db", "--public-url", ADDRESS) as service,
        chromium.new_context(base_url=service.url, viewport={"width": 1000, "height": 900}, locale="en-GB") as desk,
        chromium.new_context(
            base_url=service.url, viewport={"width": 390, "height": 620}, locale="en-GB", device_scale_factor=2
        ) as phone,
    ):
        page = desk.new_page()
        page.goto("/")
        page.get_by_label("Message", exact=True).fill(TEXT)
        take(page, folder, "write.png")
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
        take(page, folder, "link.png")
        link = page.get_by_label("Link", exact=True).input_value()
        assert link.startswith(f"{ADDRESS}/msg/")
        opened = open_link(phone, service.url + link.removeprefix(ADDRESS))
        take(opened, folder, "reader-phone.png")
        opened.emulate_media(color_scheme="dark")
        reveal(opened)
        reads(opened, TEXT)
        take(opened, folder, "message-phone-dark.png")
    assert {path.name for path in KEPT.iterdir()} == NAMES
    for name in NAMES:
        assert size(KEPT / name) == size(folder / name), "make pictures"
        assert (KEPT / name).stat().st_size < 60_000
