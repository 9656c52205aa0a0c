"""The plain HTTP port beside TLS."""

import asyncio

import pytest

from messaging_api.server.https_redirect import RedirectApp
from messaging_api.web.responses import Response
from tests.support.connections import worker_load
from tests.support.requests import header_fields, request_to


def redirect(
    path: str = "/", method: str = "GET", *, host: bytes = b"msg.example", public_url: str = "", port: int = 443
) -> tuple[Response, dict[str, int]]:
    """Return the response to a request, and how many were rejected for which reason."""
    load, metrics = worker_load()
    request = request_to(path, method)
    request.host = host
    response = asyncio.run(RedirectApp(public_url, port, load.audit)(request))
    counts = {reason: metrics.get("messaging_refusals", reason) for reason in ("plain_http", "invalid")}
    return response, {reason: count for reason, count in counts.items() if count}


@pytest.mark.parametrize(
    ("host", "port", "public_url", "location"),
    [
        (b"msg.example", 443, "", b"https://msg.example/"),
        (b"msg.example:80", 443, "", b"https://msg.example/"),
        (b"msg.example:8080", 8443, "", b"https://msg.example:8443/"),
        (b"[2001:db8::1]", 443, "", b"https://[2001:db8::1]/"),
        (b"[2001:db8::1]:80", 8443, "", b"https://[2001:db8::1]:8443/"),
        (b"other.example", 8443, "https://msg.example", b"https://msg.example/"),
        (b"", 443, "https://msg.example", b"https://msg.example/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_front_page_is_redirected(host: bytes, port: int, public_url: str, location: bytes, method: str) -> None:
    """To the public address, or to the host that was asked for, on the port of https. Never HSTS over plain HTTP."""
    response, rejected = redirect(method=method, host=host, port=port, public_url=public_url)
    assert (response.status, rejected) == (308, {})
    assert header_fields(response.lines) == {b"location": location}
    assert b"strict-transport-security" not in response.block.plain


@pytest.mark.parametrize(("path", "method"), [("/msg/x", "GET"), ("/", "POST"), ("/docs", "GET"), ("*", "OPTIONS")])
def test_everything_else_is_rejected(path: str, method: str) -> None:
    """A redirect would make clients send a link or message unencrypted again; 403 prevents that."""
    response, rejected = redirect(path, method, public_url="https://msg.example")
    assert (response.status, response.close) == (403, True)
    assert b"plain-http" in response.body
    assert b"location" not in response.lines
    assert rejected == {"plain_http": 1}


def test_redirect_needs_a_host() -> None:
    """HTTP/1.0 without a Host header, and without a public address, has no target for a redirect."""
    response, rejected = redirect(host=b"")
    assert response.status == 400
    assert rejected == {"invalid": 1}
