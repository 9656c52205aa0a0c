"""Unreachable, busy or full servers, and browsers without scripts: the page says so, and no text is lost."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import Person
from tests.support.pages import TEXT, open_link, open_options, reads, reveal, reveal_without_key, says, write
from tests.support.redis_server import redis_running
from tests.support.relay import Relay, relaying
from tests.support.service import COMMAND, serving, wait_for

TOO_OFTEN = re.compile(r"^That was too often\. Try again in \d+ seconds?\.$")


def test_offline_message_is_sent_after_reconnecting(person: Person, relay: Relay) -> None:
    """Without a connection nothing is lost: the same button works afterwards, and one message is stored."""
    sender, reader = person(), person()
    page = sender.new_page()
    page.goto("/")
    page.get_by_label("Message", exact=True).fill(TEXT)
    sender.set_offline(offline=True)
    page.get_by_role("button", name="Create link").click()
    says(page, "The server cannot be reached.")
    assert page.get_by_label("Message", exact=True).input_value() == TEXT
    sender.set_offline(offline=False)
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
    opened = open_link(reader, page.get_by_label("Link", exact=True).input_value())
    reader.set_offline(offline=True)
    reveal(opened)
    says(opened, "The connection broke. Trying again …")
    says(opened, "for a short time the same message is still there for you")
    reader.set_offline(offline=False)
    reveal(opened)
    reads(opened, TEXT)
    receipt = sender.new_page()
    receipt.goto(page.locator("#receipt").get_attribute("href") or "")
    says(receipt, "Read by all its readers")
    sender.set_offline(offline=True)
    receipt.get_by_role("button", name="Refresh").click()
    says(receipt, "The server cannot be reached.")


@pytest.mark.parametrize("fault", ["connection", "504"])
def test_lost_message_is_fetched_again(person: Person, relay: Relay, fault: str) -> None:
    """The page repeats a read whose response does not arrive, with the same key, and shows the only copy."""
    page = open_link(person(), write(person(), TEXT).message)
    keys: list[str] = []

    def lose(route: Route) -> None:
        request = route.request
        if request.method != "GET" or "/msg/" not in request.url:
            return route.continue_()
        keys.append(request.headers["idempotency-key"])
        if len(keys) > 2:
            return route.continue_()
        assert httpx.get(request.url, headers=request.headers).status_code == 200
        return route.abort() if fault == "connection" else route.fulfill(status=504, body="")

    page.route("**/*", lose)
    reveal(page)
    reads(page, TEXT)
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_reloading_after_a_lost_response_shows_the_message(person: Person, relay: Relay) -> None:
    """The read goes on after a reload, although the message is gone for everybody else."""
    reader = person()
    page = open_link(reader, write(person(), TEXT).message)

    def lose(route: Route) -> None:
        request = route.request
        if request.method != "GET" or "/msg/" not in request.url or request.is_navigation_request():
            return route.continue_()
        assert httpx.get(request.url, headers=request.headers).status_code == 200
        return route.abort()

    page.route("**/*", lose)
    reveal(page)
    says(page, "for a short time the same message is still there for you")
    page.unroute("**/*")
    page.reload()
    reads(page, TEXT)


def test_reloading_shows_the_message_again(person: Person, relay: Relay) -> None:
    """A message that was just read is shown again in the same tab, and in no other; a burned one is gone."""
    sender, reader = person(), person()
    links = write(sender, TEXT)
    page = open_link(reader, links.message)
    reveal(page)
    reads(page, TEXT)
    page.reload()
    reads(page, TEXT)
    says(open_link(reader, links.message), "There is no message here.")
    httpx.delete(links.receipt)
    page.reload()
    says(page, "There is no message here.")


@pytest.mark.parametrize("seconds", [0, 1, 600])
def test_message_is_read_whatever_the_time_for_resuming(chromium: Browser, tmp_path: Path, seconds: int) -> None:
    """The page reads also where the server resumes reads for a moment only, or not at all."""
    store = f"sqlite://{tmp_path}/m.db"
    with serving(tmp_path, store, "--resume-seconds", str(seconds)) as service:
        page = chromium.new_page()
        page.goto(httpx.post(service.url, json={"message": TEXT, "reads": 1}).json()["url"])
        page.locator("#without-key").click()
        reads(page, TEXT)
        page.close()


def test_message_read_long_ago_is_not_read_again_on_reload(person: Person, relay: Relay) -> None:
    """When the server may have forgotten the key, reloading asks before it spends another read."""
    page = open_link(person(), httpx.post(relay.url, json={"message": TEXT, "reads": 2}).json()["url"])
    reveal_without_key(page)
    reads(page, TEXT)
    page.evaluate("""() => {
      for (const slot of Object.keys(sessionStorage)) {
        const read = JSON.parse(sessionStorage[slot]);
        sessionStorage[slot] = JSON.stringify({ ...read, begin: read.begin - 55_000 });
      }
    }""")
    page.reload()
    says(page, "It can be read once.")


def test_lost_response_creates_no_second_message(person: Person, relay: Relay) -> None:
    """A message without a response is sent again with the same key, so one message with one link is stored."""
    sender = person()
    page = sender.new_page()
    page.goto("/")
    keys: list[str] = []

    def lose(route: Route) -> None:
        request = route.request
        if request.method != "POST":
            return route.continue_()
        keys.append(request.headers["idempotency-key"])
        answer = httpx.post(request.url, content=request.post_data_buffer, headers=request.headers)
        assert answer.status_code == 200
        links.append(answer.json()["url"])
        return route.abort() if len(keys) == 1 else route.continue_()

    links: list[str] = []
    page.route("**/*", lose)
    page.get_by_label("Message", exact=True).fill(TEXT)
    page.get_by_role("button", name="Create link").click()
    says(page, "The server cannot be reached.")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
    assert keys[0] == keys[1]
    assert re.fullmatch(r"[\w-]{22}", keys[0])  # 128 bits in base64url
    assert {page.get_by_label("Link", exact=True).input_value().partition("#")[0]} == set(links)


def test_unavailable_store_shows_the_wait(chromium: Browser, tmp_path: Path) -> None:
    """The page shows the wait of a 503 and its end; when the store is back, the same button works."""
    with (
        redis_running(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server,
        serving(tmp_path / "service", server.url) as service,
        chromium.new_context(base_url=service.url) as who,
    ):
        links = write(who, TEXT)
        opened = open_link(who, links.message)
        page = who.new_page()
        page.goto("/")
        page.get_by_label("Message", exact=True).fill(TEXT)
        server.kill()
        page.get_by_role("button", name="Create link").click()
        says(page, "The server is busy. Try again in 1 second.")
        says(page, "You can try again now.")
        reveal(opened)
        says(opened, "The server is busy. Try again in 1 second.")
        server.start()
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
        reveal(opened)
        reads(opened, TEXT)


def test_rate_limit_shows_the_wait(chromium: Browser, tmp_path: Path) -> None:
    """The page shows the wait of a 429 for creating, reading and looking at a receipt."""
    limits = ("--limit-create", "1", "--limit-read", "2", "--limit-miss", "0")
    with (
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", *limits) as service,
        chromium.new_context(base_url=service.url, locale="en-GB") as who,
    ):
        links = write(who, TEXT)
        page = who.new_page()
        page.goto("/")
        page.get_by_label("Message", exact=True).fill(TEXT)
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_role("alert")).to_have_text(TOO_OFTEN)
        opened = open_link(who, links.message)
        wait_for(lambda: httpx.head(links.message, headers={"accept": "application/json"}).status_code == 429)
        reveal(opened)
        expect(opened.get_by_role("alert")).to_have_text(TOO_OFTEN)
        receipt = who.new_page()
        receipt.goto(links.receipt)
        expect(receipt.get_by_role("alert")).to_have_text(TOO_OFTEN)


def test_required_token_is_asked_for(chromium: Browser, tmp_path: Path) -> None:
    """If creating requires a token, the page asks for it and then sends the message."""
    made = subprocess.run([COMMAND, "token"], capture_output=True, text=True, check=True).stdout
    token, digest = re.findall(r"^(?:token|hash): +(\S+)$", made, re.MULTILINE)
    with (
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", MESSAGING_API_CREATE_TOKENS=digest) as service,
        chromium.new_context(base_url=service.url) as who,
    ):
        page = who.new_page()
        page.goto("/")
        page.get_by_label("Message", exact=True).fill(TEXT)
        page.get_by_role("button", name="Create link").click()
        says(page, "Only those with a token may create messages on this server.")
        expect(page.get_by_label("Token")).to_be_focused()
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Your link is ready")).to_be_focused()


def test_full_store_keeps_the_text(chromium: Browser, tmp_path: Path) -> None:
    """The page says that nothing was stored, and still has the text."""
    store = f"sqlite://{tmp_path}/m.db?max_bytes=200000"
    with serving(tmp_path / "service", store) as service, chromium.new_context(base_url=service.url) as who:
        wait_for(lambda: httpx.post(service.url, json={"message": "x" * 50_000}).status_code == 507)
        page = who.new_page()
        page.goto("/")
        page.get_by_label("Message", exact=True).fill("x" * 40_000)
        page.get_by_role("button", name="Create link").click()
        says(page, "The server has no room for another message right now. Nothing was kept.")


def test_too_long_text_is_not_sent(person: Person) -> None:
    """The limit is counted in bytes of the encrypted message, shown beforehand and enforced by the form."""
    who = person()
    page = who.new_page()
    page.goto("/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.get_by_label("Message", exact=True).fill("ü" * 22_528)
    expect(page.locator("#room")).to_have_text("100 % of 44 KB used.")
    page.get_by_role("button", name="Create link").click()
    assert (
        page.locator("#message")
        .evaluate("field => field.validationMessage")
        .startswith("The message is too long by 1 byte.")
    )
    assert "POST" not in asked
    open_options(page)
    page.get_by_label("Encrypt in this browser").uncheck()
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_text("Not encrypted in the browser")).to_be_visible()


def test_form_works_without_javascript(scriptless: Browser, relay: Relay) -> None:
    """The form says that it cannot encrypt, and posts; the response has the link. The other pages give advice."""
    with scriptless.new_context(base_url=relay.url, java_script_enabled=False, locale="en-GB") as who:
        page = who.new_page()
        page.goto("/")
        expect(page.locator("noscript p")).to_contain_text("Without JavaScript your browser cannot encrypt")
        expect(page.get_by_label("Encrypt in this browser")).to_be_hidden()
        page.get_by_label("Message", exact=True).fill(TEXT)
        page.get_by_label("Can be read").select_option("3")
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_role("heading", name="Your link is ready")).to_be_visible()
        expect(page.get_by_text("Can be read 3 times.")).to_be_visible()
        link = page.get_by_role("link", name="/msg/").get_attribute("href") or ""
        page.get_by_role("link", name="/receipt/").click()
        expect(page.locator("noscript p")).to_contain_text("Without JavaScript this page cannot show the receipt.")
        page.goto(link)
        page.get_by_role("button", name="Show message").click()
        expect(page.locator("#text")).to_have_text(TEXT)
    assert httpx.get(link, headers={"accept": "text/plain"}).text == TEXT


def test_form_without_javascript_shows_rejections(scriptless: Browser, tmp_path: Path) -> None:
    """A page shows the rejection; going back restores the text."""
    with (
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--max-message-bytes", "10") as service,
        scriptless.new_context(base_url=service.url, java_script_enabled=False, locale="en-GB") as who,
    ):
        page = who.new_page()
        page.goto("/")
        page.get_by_label("Message", exact=True).fill("more than ten bytes")
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_role("heading", name="The message is too long")).to_be_visible()
        page.go_back()
        expect(page.get_by_label("Message", exact=True)).to_have_value("more than ten bytes")


def test_page_without_https_does_not_encrypt(chromium: Browser, person: Person, relay: Relay) -> None:
    """Where browsers cannot encrypt, the page says so and still posts; an encrypted message is not even requested."""
    plain = relay.url.replace("127.0.0.1", "plain.test")
    links = write(person(), TEXT)
    with chromium.new_context(base_url=plain, locale="en-GB") as who:
        page = who.new_page()
        page.goto("/")
        assert page.evaluate("isSecureContext") is False
        open_options(page)
        expect(page.get_by_label("Encrypt in this browser")).to_be_disabled()
        expect(page.get_by_text("browsers encrypt only on pages that came over HTTPS")).to_be_visible()
        page.get_by_label("Message", exact=True).fill(TEXT)
        page.get_by_role("button", name="Create link").click()
        expect(page.get_by_text("Not encrypted in the browser")).to_be_visible()
        opened = open_link(who, page.get_by_label("Link", exact=True).input_value())
        reveal_without_key(opened)
        reads(opened, TEXT)
        says(
            open_link(who, links.message.replace("127.0.0.1", "plain.test")),
            "decrypt only on pages that came over HTTPS",
        )
    opened = open_link(person(), links.message)
    reveal(opened)
    reads(opened, TEXT)


def test_missing_script_sends_nothing(chromium: Browser, relay: Relay) -> None:
    """With JavaScript but without its file, the form cannot send the message unencrypted by accident."""
    with chromium.new_context(base_url=relay.url) as who:
        who.route("**/assets/write.*.js", lambda route: route.abort())
        page = who.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.method))
        page.goto("/")
        page.get_by_label("Message", exact=True).fill(TEXT)
        expect(page.get_by_role("button", name="Create link")).to_be_disabled()
        open_options(page)
        page.get_by_label("Password").press("Enter")
        page.get_by_label("Number of times").dispatch_event("submit")
        assert "POST" not in asked
        assert page.url == f"{relay.url}/"


def test_pages_work_below_a_path(chromium: Browser, tmp_path: Path) -> None:
    """Pages, files and links work when a proxy puts the service below a path."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        target = urlsplit(service.url)
        assert target.hostname
        assert target.port
        with relaying(target.hostname, target.port) as relay, chromium.new_context() as who:

            def below(route: Route) -> None:
                request = route.request
                answer = httpx.request(
                    request.method,
                    re.sub("^http://proxy.test/some/path", relay.url, request.url),
                    headers={**request.headers, "accept-encoding": "identity"},
                    content=request.post_data_buffer,
                )
                route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

            who.route("http://proxy.test/**", below)
            page = who.new_page()
            page.goto("http://proxy.test/some/path/")
            icon = page.locator("link[rel=icon]").evaluate("element => element.href")
            assert icon.startswith("http://proxy.test/some/path/assets/")
            page.goto("http://proxy.test/some/path/receipt/x")
            page.get_by_role("link", name="messaging_api").click()
            assert page.url == "http://proxy.test/some/path/"
