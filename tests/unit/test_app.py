"""Pieces of the web room that have facts of their own."""

import asyncio
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api import errors
from messaging_api.core.ratelimit import RateLimiter, RateLimits
from messaging_api.errors import InvalidRequest, MessagingError
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import METHODS, ROUTES, STATUSES, SharedMetrics
from messaging_api.observability.timestamps import format_milliseconds, format_time
from messaging_api.web import problems
from messaging_api.web.admission import Admission
from messaging_api.web.app import App
from messaging_api.web.client_address import ClientAddresses
from messaging_api.web.negotiation import media_type, wanted
from messaging_api.web.problems import INTERNAL, TABLE, problem
from messaging_api.web.timestamps import parse_time
from messaging_api.web.tokens import Tokens
from messaging_api.web.types import WHOLE

OPEN = Admission(RateLimiter(RateLimits(), None), Tokens(), ClientAddresses(), None)  # type: ignore[arg-type]
"""Lets everybody through."""


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    """The classes below `kind` that have none below them; what a store says to itself leaves it as its base class."""
    below = [one for one in kind.__subclasses__() if not one.__module__.startswith("messaging_api.stores.")]
    return {leaf for one in below for leaf in leaves(one)} if below else {kind}


def test_every_error_has_its_row() -> None:
    """Each error that can reach a client has a row of its own; no row is for an error that is gone."""
    assert leaves(MessagingError) - set(INTERNAL) == set(TABLE) - {Exception}


def test_every_status_is_counted() -> None:
    """A status that can be answered has its counter."""
    assert {row.status for row in TABLE.values()} <= set(STATUSES)


def test_errors_hold_no_status() -> None:
    """Only the table knows status numbers."""
    assert not any(str(row.status) in inspect.getsource(errors) for row in TABLE.values())


def test_the_nearest_row_tells() -> None:
    """An error without a row of its own is told by the class above it; anything else is a plain 500."""

    class Odd(InvalidRequest):
        pass

    assert problem(Odd("x")).status == 400
    assert problem(ZeroDivisionError("secret")).status == 500
    assert b"secret" not in problem(ZeroDivisionError("secret")).body
    assert problems.UnknownAddress.__doc__


class Broken:
    """Handlers that fail in a way nobody thought of."""

    def refused(self, _request: object, refusal: Any) -> Any:
        return refusal

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object) -> None:
            raise ZeroDivisionError("the message itself")

        return fail


def test_an_unexpected_error_is_answered_and_logged_without_its_text(capfd: pytest.CaptureFixture[str]) -> None:
    """500 as a problem with all headers; the log names class and place, and not what the error said."""
    sent: list[tuple[int, bytes, bytes]] = []

    async def whole(*answer: Any) -> None:
        sent.append(answer)

    async def unused(*_: Any) -> Any:
        raise AssertionError

    async def main() -> None:
        logger, row = JsonLogger(None), SharedMetrics(1).workers[0]
        app = App(Broken(), OPEN, AuditLog(logger, row), logger, row)  # type: ignore[arg-type]
        scope = {"method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "https", "client": None}
        await app({**scope, "extensions": {WHOLE: whole}}, unused, unused)

    asyncio.run(main())
    ((status, lines, _),) = sent
    assert status == 500
    headers = dict(line.split(b": ") for line in lines.splitlines())
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"strict-transport-security"].startswith(b"max-age=")
    logged = capfd.readouterr().err
    assert '"error":"ZeroDivisionError","at":"test_app.py:' in logged
    assert "the message itself" not in logged


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", ("json", False)),
        ("*/*", ("json", False)),
        ("application/json", ("json", True)),
        ("APPLICATION/JSON; charset=utf-8", ("json", True)),
        ("text/plain", ("text", True)),
        ("application/json, text/plain, */*", ("json", True)),
        ("text/plain, application/json;q=0.5", ("text", True)),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", ("html", False)),
        ("text/html, application/json;q=0.9", ("html", False)),
        ("application/json;q=0", ("json", False)),
        ("application/json;q=x", ("json", False)),
        ("image/png", ("json", False)),
        ("text/plain, " + "x/y, " * 200, ("text", True)),
    ],
)
def test_negotiation(accept: str, expected: tuple[str, bool]) -> None:
    """The weightiest of our formats; named only by its own name."""
    assert tuple(wanted(accept.encode())) == expected


@given(st.binary(max_size=600))
def test_negotiation_takes_anything(header: bytes) -> None:
    """Whatever bytes a header holds, there is a format."""
    assert wanted(header).format in {"json", "text", "html"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ("", "")),
        (b"Text/Plain; Charset=UTF-8", ("text/plain", "")),
        (b'multipart/form-data; boundary="a b"', ("multipart/form-data", "a b")),
    ],
)
def test_media_type(header: bytes | None, expected: tuple[str, str]) -> None:
    """Name in lower case, boundary without its quotes."""
    assert media_type(header) == expected


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_read_as_they_are_written(moment: int) -> None:
    """RFC 3339 to the millisecond, from 1970 to the year 9999."""
    assert parse_time(format_time(moment)) == moment


@pytest.mark.parametrize("text", ["", "x", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1", "9" * 50])
def test_what_is_no_time(text: str) -> None:
    """Without an offset a time is none."""
    with pytest.raises(InvalidRequest):
        parse_time(text)


def test_labels_are_few() -> None:
    """Metrics cannot be blown up by what clients send: all label values are fixed."""
    assert len(ROUTES) * len(METHODS) * len(STATUSES) < 2000


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0.000"), (0.0012349, "1.234"), (12.5, "12500.000")])
def test_durations_have_three_decimals(seconds: float, text: str) -> None:
    """Seconds are written as milliseconds, rounded down to microseconds."""
    assert format_milliseconds(seconds) == text
