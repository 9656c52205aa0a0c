"""The application, its table of problems, content negotiation and times."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api import errors
from messaging_api.core.message import MessageLimits
from messaging_api.core.pending import Driver, Pending
from messaging_api.core.ratelimit import RateLimiter, RateLimits
from messaging_api.errors import (
    InvalidRequest,
    MessageNotFound,
    MessagingError,
    NotExecuted,
    OutcomeUnknown,
    SettingsError,
    StoreFull,
)
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import METHODS, STATUSES, ProcessMetrics, SharedMetrics
from messaging_api.observability.timestamps import format_milliseconds, format_time
from messaging_api.web.admission import Admission
from messaging_api.web.app import App
from messaging_api.web.cors import Cors
from messaging_api.web.handlers import Handlers
from messaging_api.web.http_errors import BodyTooLong, UnclearRequest
from messaging_api.web.negotiation import accepted_format, media_type
from messaging_api.web.pages.pages import Pages
from messaging_api.web.problems import TABLE, as_json, problem_of
from messaging_api.web.responses import Response
from messaging_api.web.routes import LABELS
from messaging_api.web.timestamps import parse_time
from messaging_api.web.tokens import Tokens
from messaging_api.web.trusted_proxies import TrustedProxies
from tests.support.requests import FakeCounters, header_fields, request_to

NO_LIMITS = RateLimits()


def leaves(kind: type[Exception]) -> set[type[Exception]]:
    """Return the classes below `kind` that have no subclasses outside of the stores."""
    below = [one for one in kind.__subclasses__() if not one.__module__.startswith("messaging_api.stores.")]
    return {leaf for one in below for leaf in leaves(one)} if below else {kind}


def test_every_error_has_a_row() -> None:
    """Each error that can reach a client has a row of its own; no row is for an error that is gone.

    NotExecuted and InvalidRequest are also raised themselves, and UnclearRequest uses the row of the latter.
    SettingsError ends the start; the handler that reads a body answers BodyTooLong with an error of its own.
    """
    reached = leaves(MessagingError) - {SettingsError, BodyTooLong, UnclearRequest} | {NotExecuted, InvalidRequest}
    assert reached == set(TABLE) - {Exception}


def test_every_status_is_counted() -> None:
    """Each status of a response has its counter."""
    assert {row.status for row in TABLE.values()} <= set(STATUSES)


def test_errors_have_no_status() -> None:
    """Only the table knows status numbers."""
    assert not any(str(row.status) in inspect.getsource(errors) for row in TABLE.values())


def test_error_uses_the_row_of_its_nearest_class() -> None:
    """An error without its own row uses that of the class above it; any other error is a plain 500."""

    class Odd(InvalidRequest):
        pass

    assert as_json(problem_of(Odd("x"))).status == 400
    unexpected = as_json(problem_of(ZeroDivisionError("secret")))
    assert unexpected.status == 500
    assert b"secret" not in unexpected.body


class BrokenService:
    """A service whose look-ups do what the test defines."""

    limits = MessageLimits()

    def __init__(self, find: Callable[[], Awaitable[Any]]) -> None:
        self._find = find

    async def find(self, _message_id: str, _reader_key: bytes | None) -> Any:
        return await self._find()


def app_over(
    find: Callable[[], Awaitable[Any]], *, cors: Cors | None = None, limits: RateLimits = NO_LIMITS
) -> tuple[App, ProcessMetrics]:
    """Return the application over a service that does `find`, and its metrics. It logs to the console."""
    logger, row = JsonLogger(None), SharedMetrics(1, LABELS).workers[0]
    admission = Admission(RateLimiter(limits, FakeCounters()), Tokens())
    app = App(
        handlers=Handlers(BrokenService(find), Pages(MessageLimits()), admission, ""),  # type: ignore[arg-type]
        admission=admission,
        proxies=TrustedProxies(),
        cors=cors,
        audit=AuditLog(logger, row),
        logger=logger,
        metrics=row,
    )
    return app, row


async def fail() -> None:
    raise ZeroDivisionError("the message itself")


def test_unexpected_error_gives_500_and_is_logged_without_its_text(capfd: pytest.CaptureFixture[str]) -> None:
    """The response is a problem with all headers; the log has the class and place of the error, not its text."""
    app, metrics = app_over(fail)
    response = asyncio.run(app(request_to("/msg/x", headers={b"accept": b"application/json"})))
    assert response.status == 500
    headers = header_fields(response.block.secure + response.lines)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"strict-transport-security"].startswith(b"max-age=")
    logged = capfd.readouterr().err
    assert '"error":"ZeroDivisionError","at":"test_app.py:' in logged
    assert '"request_id":"0123456789abcdef"' in logged
    assert "the message itself" not in logged
    assert metrics.get("messaging_requests", "/msg", "GET", "500") == 1
    assert metrics.get("messaging_refusals", "unexpected") == 1


def test_errors_of_the_store_are_counted_and_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Each kind of failure has its status and its reason in metrics and log; only 503 has Retry-After."""
    for error, status, reason in (
        (NotExecuted("away"), 503, "unavailable"),
        (OutcomeUnknown("late"), 504, "unknown"),
        (StoreFull("no room"), 507, "full"),
    ):

        async def find(error: Exception = error) -> None:
            raise error

        app, metrics = app_over(find)
        response = asyncio.run(app(request_to("/msg/x", headers={b"accept": b"application/json"})))
        assert response.status == status
        assert (b"retry-after: 1\r\n" in response.lines) == (status == 503)
        assert metrics.get("messaging_store_failures", reason) == 1
        logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        (failed,) = (line for line in logged if line["event"] == "store_failed")
        assert (failed["reason"], failed["detail"], failed["client"]) == (reason, str(error), "192.0.2.1")


def test_disconnected_client_is_logged_with_its_request(capfd: pytest.CaptureFixture[str]) -> None:
    """When its connection ends, the request is counted as client_gone, and not as answered."""

    async def never() -> None:
        await Pending()

    app, metrics = app_over(never)
    serving = app(request_to("/msg/x", headers={b"accept": b"application/json"}))
    driver: Driver[Response] = Driver()
    ends: list[object] = []
    driver.run(serving, ends.append)
    driver.close()
    assert ends == []
    (gone,) = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert gone["reason"] == "client_gone"
    assert (gone["method"], gone["route"], gone["request_id"]) == ("GET", "/msg", "0123456789abcdef")
    assert metrics.get("messaging_refusals", "client_gone") == 1
    assert metrics.get("messaging_requests", "/msg", "GET", "200") == 0


def test_quota_and_cors_lines_are_on_every_response() -> None:
    """Also on problems: the remaining quota of the client, and the CORS headers for an allowed origin."""

    async def find() -> None:
        raise MessageNotFound

    app, _ = app_over(find, cors=Cors(["*"]), limits=RateLimits(read=5, miss=2))

    async def ask() -> Response:
        asked = {b"accept": b"application/json", b"origin": b"https://a.example"}
        return await app(request_to("/msg/x", headers=asked))

    async def main() -> list[Response]:
        return [await ask() for _ in range(4)]

    responses = asyncio.run(main())
    assert [response.status for response in responses] == [404, 404, 429, 429]
    told = [header_fields(response.lines) for response in responses]
    assert [fields[b"ratelimit"] for fields in told] == [
        b'"miss";r=1;t=60',
        b'"miss";r=0;t=60',
        b'"miss";r=0;t=60',
        b'"miss";r=0;t=60',
    ]
    assert {fields[b"ratelimit-policy"] for fields in told} == {b'"read";q=5;w=60, "miss";q=2;w=60'}
    assert {fields[b"access-control-allow-origin"] for fields in told} == {b"*"}


def test_options_names_the_methods() -> None:
    """OPTIONS * concerns the server as a whole; on an address it is served only if there are allowed origins."""
    origin = {b"origin": b"https://a.example"}
    plain, _ = app_over(fail)
    open_to_all, _ = app_over(fail, cors=Cors(["*"]))

    def ask(app: App, path: str) -> tuple[int, bytes | None]:
        response = asyncio.run(app(request_to(path, "OPTIONS", origin)))
        return response.status, header_fields(response.lines).get(b"allow")

    assert ask(plain, "*") == (200, b"GET, HEAD, POST, PUT, DELETE")
    assert ask(plain, "/msg/x") == (405, b"GET, POST, HEAD")
    assert ask(open_to_all, "/receipt/x") == (200, b"GET, DELETE, HEAD")
    assert ask(open_to_all, "/notes.txt") == (200, b"PUT")
    assert ask(plain, "/notes.txt") == (404, None)
    assert ask(open_to_all, "/nothing/here") == (404, None)


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
        ("text/html, text/plain, text/sgml, */*;q=0.01", ("html", False)),
        ("text/html,application/json,*/*;q=0.8", ("html", False)),
        ("application/json;q=0.9,text/html;q=0.9", ("html", False)),
        ("application/json;q=0.9, text/html;q=0.90", ("html", False)),
        ("application/json, text/html;q=0.9", ("json", True)),
        ("text/plain;q=0, text/plain", ("text", False)),
        ("text/plain;q=0.1;q=1", ("json", False)),
        ("text/html;q=x, text/plain", ("text", False)),
        ("text/html;q=0.1, text/html, text/plain;q=0.5", ("html", False)),
        ("text/plain;q=2", ("json", False)),
        ("text/plain;q = 0", ("json", False)),
        ('image/png;x="a, text/plain, b"', ("text", False)),
        ("text/plain, text/plain", ("text", True)),
        ("text/plain, " + "x/y, " * 200, ("text", True)),
    ],
)
def test_accepted_format_is_the_preferred_one(accept: str, expected: tuple[str, bool]) -> None:
    """The format with the highest weight wins; `named` is set only for an explicit name."""
    assert tuple(accepted_format(accept.encode())) == expected


@given(st.binary(max_size=600))
def test_accepted_format_takes_any_bytes(header: bytes) -> None:
    """Any bytes in the header lead to some format."""
    assert accepted_format(header).format in {"json", "text", "html"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ("", "")),
        (b"Text/Plain; Charset=UTF-8", ("text/plain", "")),
        (b'multipart/form-data; boundary="a b"', ("multipart/form-data", "a b")),
    ],
)
def test_media_type_is_in_lower_case_with_its_boundary(header: bytes | None, expected: tuple[str, str]) -> None:
    """The boundary is without its quotes."""
    assert media_type(header) == expected


@given(st.integers(0, 253_402_300_799_999))
def test_time_round_trips(moment: int) -> None:
    """RFC 3339 to the millisecond, from 1970 to the year 9999."""
    assert parse_time(format_time(moment)) == moment


@pytest.mark.parametrize("text", ["", "x", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1", "9" * 50])
def test_invalid_time_is_rejected(text: str) -> None:
    """A time without an offset from UTC is invalid too."""
    with pytest.raises(InvalidRequest):
        parse_time(text)


def test_label_values_are_fixed() -> None:
    """Clients cannot add label values to the metrics."""
    assert len(LABELS) * len(METHODS) * len(STATUSES) < 2000


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0.000"), (0.0012349, "1.234"), (12.5, "12500.000")])
def test_durations_have_three_decimals(seconds: float, text: str) -> None:
    """Seconds are written as milliseconds, rounded down to microseconds."""
    assert format_milliseconds(seconds) == text


def test_accept_is_read_up_to_a_limit() -> None:
    """Only the first KiB of a longer header counts, without the media range that is cut: 64 KiB would take 50 ms.

    What follows may name HTML, so a longer header names nothing beyond doubt.
    """
    assert accepted_format(b"text/plain, " + b"x/y, " * 12_000) == ("text", False)
    assert accepted_format(b"x/y, " * 12_000 + b"text/plain").format == "json"
