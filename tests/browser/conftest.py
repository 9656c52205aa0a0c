"""A real Chromium against the real service, on SQLite and on Redis."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, Request, sync_playwright

from tests.support.programs import require
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay, relaying
from tests.support.service import Running, serving

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP plain.test 127.0.0.1",
)
Person = Callable[..., BrowserContext]


@pytest.fixture(scope="session")
def browsers() -> Iterator[BrowserType]:
    """Start Debian's Chromium."""
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="session")
def chromium(browsers: BrowserType) -> Iterator[Browser]:
    """Run one browser for all tests; each person in it has a context of their own."""
    with browsers.launch(executable_path=require("chromium"), args=list(QUIET)) as browser:
        yield browser


@pytest.fixture
def scriptless(browsers: BrowserType) -> Iterator[Browser]:
    """Run a browser whose JavaScript is off, as by its settings: <noscript> counts."""
    with browsers.launch(
        executable_path=require("chromium"), args=[*QUIET, "--blink-settings=scriptEnabled=false"]
    ) as browser:
        yield browser


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run the service on SQLite, or on the store that a test selects by a parameter."""
    folder = tmp_path_factory.mktemp("service")
    store = f"sqlite://{folder}/messages.db"
    if getattr(request, "param", "sqlite") == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        store = server.url
    with serving(folder, store) as running:
        yield running


@pytest.fixture(scope="session")
def relay(service: Running) -> Iterator[Relay]:
    """Run the relay between browsers and the service, which records all that browsers send."""
    parts = urlsplit(service.url)
    assert parts.hostname
    assert parts.port
    with relaying(parts.hostname, parts.port) as relay:
        yield relay


@pytest.fixture
def person(chromium: Browser, relay: Relay) -> Iterator[Person]:
    """Return a function that makes people: separate contexts that fail on script errors and other origins."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: troubles.append(f"error in a script: {error}"))
        page.on("console", lambda message: told(message.text))

    def told(text: str) -> None:
        if "Content Security Policy" in text or "Trusted" in text:
            troubles.append(text)

    def asked(request: Request) -> None:
        if not request.url.startswith((f"{relay.url}/", "data:")):
            troubles.append(f"another origin was asked: {urlsplit(request.url).netloc}")

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(base_url=relay.url, **{"locale": "en-GB", "timezone_id": "UTC", **options})
        context.set_default_timeout(10_000)
        context.on("page", watch)
        context.on("request", asked)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert troubles == []
