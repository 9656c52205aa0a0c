"""Which other sites' pages may use the service."""

import pytest

from messaging_api.web.cors import Cors
from messaging_api.web.types import Request
from tests.support.requests import header_fields, request_to

HERE = "https://app.example"


def request(origin: str | None) -> Request:
    return request_to("/", headers={} if origin is None else {b"origin": origin.encode("latin-1")})


def test_an_origin_on_the_list() -> None:
    """It is named, what scripts may see is listed, and caches are told that the answer depends on it."""
    told = header_fields(Cors([HERE, "https://b.example"]).lines(request(HERE)))
    assert told[b"access-control-allow-origin"] == HERE.encode()
    assert b"ratelimit" in told[b"access-control-expose-headers"]
    assert told[b"vary"] == b"origin"
    assert b"access-control-allow-credentials" not in told


@pytest.mark.parametrize(
    "origin",
    [None, "", "null", "*", "https://app.example.evil", "http://app.example", f"{HERE}:444", f"{HERE}/", HERE.upper()],
)
def test_any_other_origin(origin: str | None) -> None:
    """Whatever is not on the list letter by letter gets nothing but Vary."""
    assert Cors([HERE]).lines(request(origin)) == b"vary: origin\r\n"


def test_everybody() -> None:
    """With * every origin gets the same answer."""
    told = header_fields(Cors(["*"]).lines(request("https://anywhere.example")))
    assert told[b"access-control-allow-origin"] == b"*"
    assert b"vary" not in told
    assert Cors(["*"]).lines(request(None)) == b""


def test_preflight() -> None:
    """It names the methods of the address and the headers that our requests have; to others only Allow."""
    told = header_fields(Cors([HERE]).preflight(request(HERE), ["GET", "POST"]).lines)
    assert told[b"access-control-allow-methods"] == told[b"allow"] == b"GET, POST"
    assert b"idempotency-key" in told[b"access-control-allow-headers"]
    assert Cors([HERE]).preflight(request("https://evil.example"), ["GET"]).lines == b"allow: GET\r\n"
