"""CORS: the other sites whose pages may use the service."""

import pytest

from messaging_api.web.cors import Cors
from messaging_api.web.types import Request
from tests.support.requests import header_fields, request_to

HERE = "https://app.example"


def request(origin: str | None) -> Request:
    return request_to("/", headers={} if origin is None else {b"origin": origin.encode("latin-1")})


def test_listed_origin_is_allowed() -> None:
    """It is named, the readable headers are listed, and Vary tells caches that the response depends on it."""
    told = header_fields(Cors([HERE, "https://b.example"]).lines(request(HERE)))
    assert told[b"access-control-allow-origin"] == HERE.encode()
    assert b"ratelimit" in told[b"access-control-expose-headers"]
    assert told[b"vary"] == b"origin"
    assert b"access-control-allow-credentials" not in told


@pytest.mark.parametrize(
    "origin",
    [None, "", "null", "*", "https://app.example.evil", "http://app.example", f"{HERE}:444", f"{HERE}/", HERE.upper()],
)
def test_other_origin_gets_only_vary(origin: str | None) -> None:
    """An origin that does not match letter by letter gets only Vary."""
    assert Cors([HERE]).lines(request(origin)) == b"vary: origin\r\n"


def test_any_origin_is_allowed_by_an_asterisk() -> None:
    """With * every origin gets the same response."""
    told = header_fields(Cors(["*"]).lines(request("https://anywhere.example")))
    assert told[b"access-control-allow-origin"] == b"*"
    assert b"vary" not in told
    assert Cors(["*"]).lines(request(None)) == b""


def test_preflight_lists_methods_and_headers() -> None:
    """It lists the methods of the address and the accepted headers; other origins get only Allow."""
    told = header_fields(Cors([HERE]).preflight(request(HERE), ["GET", "POST"]).lines)
    assert told[b"access-control-allow-methods"] == told[b"allow"] == b"GET, POST"
    accepted = set(told[b"access-control-allow-headers"].decode().split(", "))
    assert accepted >= {"content-type", "idempotency-key", "traceparent", "tracestate", "x-requested-with"}
    assert Cors([HERE]).preflight(request("https://evil.example"), ["GET"]).lines == b"allow: GET\r\n"
