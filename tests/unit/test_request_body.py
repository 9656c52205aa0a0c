"""What a posted body is understood as: the message byte for byte, its options, or an error that says what to send."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.core.message import Draft
from messaging_api.errors import InvalidRequest
from messaging_api.web.request_body import read_draft
from tests.support.requests import request_to

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
TEXT = "text/plain"
MULTIPART = "multipart/form-data; boundary=b"
NOON = int(datetime(2030, 11, 26, 11, tzinfo=UTC).timestamp()) * 1000


def draft(
    body: bytes, content_type: str | None = FORM, query: bytes = b"", method: str = "POST", accept: str = "*/*"
) -> Draft:
    """Return what the service understands a request as."""
    headers = {b"accept": accept.encode()}
    if content_type is not None:
        headers[b"content-type"] = content_type.encode()
    request = request_to("/notes.txt" if method == "PUT" else "/", method, headers, body)
    request.query = query
    return asyncio.run(read_draft(request, 65_536))


def refusal(body: bytes, content_type: str | None = FORM, query: bytes = b"", method: str = "POST") -> str:
    """Return the text of the error for a request, which must be one."""
    with pytest.raises(InvalidRequest) as caught:
        draft(body, content_type, query, method)
    return str(caught.value)


def command(body: bytes, content_type: str | None = FORM, query: bytes = b"", method: str = "POST") -> str:
    """Return the command in the error for a request."""
    with pytest.raises(InvalidRequest) as caught:
        draft(body, content_type, query, method)
    found: str = caught.value.command  # type: ignore[attr-defined]
    return found


def part(head: str, value: bytes) -> bytes:
    return b"--b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), value)


def parts(*pairs: tuple[str, bytes]) -> bytes:
    """Return a multipart/form-data body of these headers and values."""
    return b"".join(part(head, value) for head, value in pairs) + b"--b--\r\n"


@pytest.mark.parametrize(
    "text", ["hello", "hi\n", "Pa+ss", "100% + tax", "a + b", "é\r\n", "%", "%4", "%zz", "\ufeffx", '"x"', "[1]", "5"]
)
def test_form_without_names_is_the_message(text: str) -> None:
    """`curl -d` and `--data-binary` send it so. Not one byte of it is decoded."""
    assert draft(text.encode()) == Draft(text.encode())


def test_form_without_names_takes_options_from_the_query() -> None:
    """As text/plain does: there is no other place for them."""
    assert draft(b"hi\n", query=b"reads=1&ttl=60") == Draft(b"hi\n", ttl=60, reads=1)
    assert "text/plain" in refusal(b"message=hi", query=b"reads=1")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"a=b", "a"),
        (b"hello=world", "hello"),
        (b"hello&world", "message"),
        (b"Tom & Jerry", "message"),
        (b"hello=", "hello"),
        (b"=", "message"),
        (b"&", "message"),
        (b"p%C3%A4ss", "message"),
        (b"100%25%20tax", "message"),
        (b"reads=1", "message"),
        (b"hello&reads=1", "message"),
        (b"hello&read=1", "read"),
        (b"mesage=x&reads=1", "mesage"),
        (b"MESSAGE=x", "MESSAGE"),
        (b"message=p&ss", "message"),
        (b"message=p&ss&ttl=5", "message"),
        (b"message=x&message=y", "message"),
        (b"message=x&read=1", "read"),
        (b"message=x&", "message"),
        (b'{"message": "x", "reads": 1}', "message"),
        (b' \n{"mesage": "x"}', "message"),
        (b'\xef\xbb\xbf{"message": "x"}', "message"),
        (b"message=%ff", "message"),
        (b"\xff\xfe", "message"),
        (b"", "message"),
    ],
)
def test_doubtful_form_is_refused(body: bytes, named: str) -> None:
    """It may be a field or a text, one text or two, encoded or not: the error names the field and a line that works."""
    assert re.search(rf"\b{re.escape(named)}\b", refusal(body))
    assert re.search(r"\bcurl .*\{url\}", command(body))


@given(st.binary(max_size=40))
def test_form_is_a_message_as_it_is_or_a_form_with_a_message_or_refused(body: bytes) -> None:
    """No body is kept as anything else than itself or its field `message`."""
    try:
        found = draft(body)
    except InvalidRequest:
        return
    if found.text != body:
        assert any(piece.startswith(b"message=") for piece in body.split(b"&"))
    assert b"=" in body or (found.text == body and b"&" not in body)


@pytest.mark.parametrize("name", ["file", "f", "message", "notes.txt", "é"])
def test_only_file_is_the_message(name: str) -> None:
    """`curl -F file=@notes.txt`: whatever the field is called. Options stand beside it."""
    body = parts((f'name="{name}"; filename="notes.txt"', b"a=b&c%41+"), ('name="reads"', b"1"))
    assert draft(body, MULTIPART) == Draft(b"a=b&c%41+", reads=1)


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([('name="text"', b"x")], "text"),
        ([('name="message"', b"x"), ('name="file"; filename="a"', b"y")], "file"),
        ([('name="a"; filename="a"', b"x"), ('name="b"; filename="b"', b"y")], "a"),
        ([('name="file"; filename="a"', b"x"), ('name="read"', b"1")], "read"),
        ([('name="reads"; filename="a"', b"1")], "message"),
        ([('name="message"', b"x"), ('name="message"', b"y")], "message"),
        ([("x=y", b"x")], "name"),
        ([('name="file"; filename="a"', b"\x89PNG")], "file"),
        ([('name="reads"', b"1")], "message"),
    ],
)
def test_doubtful_multipart_is_refused(pairs: list[tuple[str, bytes]], named: str) -> None:
    """Two messages, none, or a field that is not known; the error names the field and a line that works."""
    assert re.search(rf"\b{named}\b", refusal(parts(*pairs), MULTIPART))
    assert "curl " in command(parts(*pairs), MULTIPART)


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "text/x-python", "text/plain"])
def test_put_body_is_the_message(content_type: str | None) -> None:
    """`curl -T notes.txt URL/`: the file as it is, with options from the query."""
    assert draft(b"a=b&c%41+", content_type, b"reads=1", "PUT") == Draft(b"a=b&c%41+", reads=1)


@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART])
def test_put_of_fields_is_refused(content_type: str) -> None:
    """Someone who sends JSON or a form means its fields, and PUT takes none."""
    assert "POST" in refusal(b'{"message": "x", "reads": 1}', content_type, method="PUT")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("P1D", 86_400),
        ("PT1H30M", 5400),
        ("P1W", 604_800),
        ("P1DT1S", 86_401),
        (" 60\n", 60),
    ],
)
def test_ttl_is_taken_in_every_usual_form(text: str, seconds: int) -> None:
    """Seconds, one number with a unit, and an ISO 8601 duration; in a form, in JSON and in a query."""
    assert draft(f"message=x&ttl={text}".encode()).ttl == seconds
    assert draft(json.dumps({"message": "x", "ttl": text}).encode(), JSON).ttl == seconds
    assert draft(b"x", TEXT, f"ttl={text}".encode()).ttl == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1M", "1y", "P1M", "P1Y", "P", "PT", "1.5h", "-1h", "1h30", "1 hour", "1e3", "٣", "+1", "9" * 12]
)
def test_doubtful_ttl_is_refused(text: str) -> None:
    """A month has no fixed length; nothing is guessed. The error shows what a lifetime looks like."""
    for body, content_type in (
        (f"message=x&ttl={text.replace('+', '%2B')}".encode(), FORM),
        (json.dumps({"message": "x", "ttl": text}).encode(), JSON),
    ):
        told = refusal(body, content_type)
        assert told.startswith("ttl must be ")
        assert "1h" in told


@pytest.mark.parametrize("text", ["1", " 1 ", "1\n"])
def test_reads_is_taken_as_text(text: str) -> None:
    """HTTPie, jq and PowerShell send numbers in JSON as strings; `echo` ends a form with a newline."""
    assert draft(json.dumps({"message": "x", "reads": text}).encode(), JSON).reads == 1
    assert draft(f"message=x&reads={text}".encode()).reads == 1


@pytest.mark.parametrize("value", [True, 1.5, 1.0, "", "one", "1.0", [1], {"n": 1}, "1e3"])
def test_doubtful_reads_is_refused(value: object) -> None:
    """In our own words, with the name of the field."""
    assert refusal(json.dumps({"message": "x", "reads": value}).encode(), JSON).startswith("reads must be ")


@pytest.mark.parametrize("zone", ["+01:00", "%2B01:00", " 01:00", "%2001:00", "+0100"])
def test_plus_that_became_a_blank_is_taken(zone: str) -> None:
    """In a form and in a query + is a blank; before the offset of a time nothing else can stand there."""
    assert draft(f"message=x&expires_at=2030-11-26T12:00:00{zone}".encode()).expires_at == NOON
    assert draft(b"x", TEXT, f"expires_at=2030-11-26T12:00:00.000{zone}".encode()).expires_at == NOON


@pytest.mark.parametrize("text", ["2030-11-26 12:00", "2030-11-26T12:00:00", "2030-11-26T12:00:00  01:00", "tomorrow"])
def test_doubtful_time_is_refused(text: str) -> None:
    """A blank becomes + only between a whole time and an offset."""
    assert refusal(json.dumps({"message": "x", "expires_at": text}).encode(), JSON).startswith("expires_at must be ")


def test_byte_order_mark_before_json_is_skipped() -> None:
    """PowerShell writes one (RFC 8259, section 8.1)."""
    assert draft(b'\xef\xbb\xbf{"message": "\xef\xbb\xbfx"}', JSON) == Draft("\ufeffx".encode())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"message": "x", "read": 1}', "read"),
        (b'{"message": 5}', "message must be a string"),
        (b'{"message": null}', "message must be a string"),
        (b'{"message": ["x"]}', "message must be a string"),
        (b'{"reads": 1}', "message"),
        (b"{}", "message"),
        (b"[1]", "object"),
        (b'"x"', "object"),
        (b'{"message": "x", "expires_at": 5}', "expires_at must be "),
        (b'{"message": "x", "ttl": [1]}', "ttl must be "),
        (b"", "empty"),
        (b"hello", "line 1, column 1"),
        (b"message=x", "line 1, column 1"),
        (b'{"message": "x",}', "line 1, column 17"),
        (b'{\n"message": "a\tb"}', "line 2, column 14"),
        (b'{"message": "\\ud800"}', "surrogate"),
        (b'{"message": "\xff"}', "UTF-8"),
        ('{"message": "x"}'.encode("utf-16"), "UTF-16"),
        ('{"message": "x"}'.encode("utf-16-le"), "UTF-16"),
        (b'{"message": "x", "reads": NaN}', "JSON"),
        (b"[" * 30_000, "JSON"),
        (b'{"message": "x", "ttl": 1' + b"0" * 5000 + b"}", "ttl must be "),
    ],
)
def test_json_is_refused_in_own_words(body: bytes, expected: str) -> None:
    """The error says which field, or where; never what a parser calls its types."""
    told = refusal(body, JSON)
    assert expected in told
    assert not re.search(r"`|\$\.|Expected|null|int\b|trailing|malformed", told)
    assert command(body, JSON).startswith("curl ")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"message=x", "message"),
        (b"read=1", "read"),
        (b"reads=1&reads=2", "reads occurs twice"),
        (b"reads", "reads"),
        (b"reads=%ff", "UTF-8"),
    ],
)
def test_doubtful_query_is_refused(query: bytes, expected: str) -> None:
    """The error speaks of the query and not of the body."""
    told = refusal(b"x", TEXT, query)
    assert expected in told
    assert "form" not in told


@pytest.mark.parametrize("content_type", [None, "", "application/xml", "application/octet-stream"])
def test_other_content_types_are_told_a_line_that_works(content_type: str | None) -> None:
    """The accepted types, and a command that sends one of them."""
    assert TEXT in refusal(b"hello", content_type)
    assert "curl -F" in command(b"hello", content_type)


def test_lines_of_a_browser_form_end_as_they_were_typed() -> None:
    """Browsers send every line end of a form as CR LF (HTML, "constructing the entry list"). Other clients mean it."""
    browser = "text/html,application/xhtml+xml,*/*;q=0.8"
    assert draft(b"message=a%0D%0Ab", accept=browser).text == b"a\nb"
    assert draft(parts(('name="message"', b"a\r\nb")), MULTIPART, accept=browser).text == b"a\nb"
    assert draft(parts(('name="message"; filename="x"', b"a\r\nb")), MULTIPART, accept=browser).text == b"a\r\nb"
    assert draft(b"message=a%0D%0Ab").text == b"a\r\nb"
    assert draft(b"a\r\nb", TEXT, accept=browser).text == b"a\r\nb"
