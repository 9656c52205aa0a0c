"""The HTTP contract, tested from outside: it runs against any URL (`make contract URL=…`)."""

import contextlib
import json
import random
import re
import socket
import ssl
import statistics
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

JSON = {"accept": "application/json"}
TEXT = {"accept": "text/plain"}
HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ONE_JSON = "Accept: application/json\r\nConnection: close\r\n"
NOBODY = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
ODD_TEXTS = [
    "é",
    "emoji 🙂 and\tcontrols \x00\x01\x7f",
    " \r\n ",
    "'; DROP TABLE records; --",
    '{"message": "x"}',
    "a" * 65_536,
]


class Patient(httpx.HTTPTransport):
    """A transport that waits as Retry-After says when the service limits its requests."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        while response.status_code == 429:
            response.close()
            time.sleep(int(response.headers["retry-after"]))
            response = super().handle_request(request)
        return response


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    # A development certificate is as good as any for the contract.
    with httpx.Client(base_url=url, transport=Patient(verify=False), timeout=30) as client:
        yield client


def post(client: httpx.Client, message: str = "hello", **fields: Any) -> dict[str, Any]:
    response = client.post("/", json={"message": message, **fields})
    assert response.status_code == 200, response.text
    posted: dict[str, Any] = response.json()
    return posted


def address(client: httpx.Client) -> str:
    """Return the address of the service, without a slash at the end."""
    return str(client.base_url).rstrip("/")


def path(link: str) -> str:
    return urlsplit(link).path


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert told["detail"]
    return told


def moment(text: str) -> datetime:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    return datetime.fromisoformat(text)


class TestOriginalClient:
    """A client written for the first version of this API works unchanged."""

    def test_original_post_and_read_work(self, client: httpx.Client) -> None:
        """POST / gives 200 with status and message_id, GET /msg/<id> gives 200 with message."""
        response = client.post("/", json={"message": "hello"})
        assert response.status_code == 200
        assert response.json()["status"] == 200
        message_id = response.json()["message_id"]
        assert uuid.UUID(message_id).version == 4
        assert str(uuid.UUID(message_id)) == message_id
        shown = client.get(f"/msg/{message_id}")
        assert shown.status_code == 200
        assert shown.json()["status"] == 200
        assert shown.json()["message"] == "hello"

    @pytest.mark.parametrize(
        "request_",
        [
            {"content": b"hello", "headers": {"content-type": ""}},
            {"content": b"hello"},
            {"content": b"not json", "headers": {"content-type": "application/json"}},
            {"json": {"msg": "hello"}},
            {"json": {}},
        ],
        ids=["empty content type", "no content type", "broken json", "another field", "no field"],
    )
    def test_post_without_a_message_gets_400(self, client: httpx.Client, request_: dict[str, Any]) -> None:
        """POST without JSON, without a content type or without `message` gets 400."""
        problem(client.post("/", **request_), 400)

    def test_original_methods_get_their_statuses(self, client: httpx.Client) -> None:
        """PUT / and POST /msg/<id> get 405, GET / gets 200."""
        problem(client.put("/", json={"message": "x"}), 405)
        problem(client.post(f"/msg/{NOBODY}", json={"message": "x"}), 405)
        assert client.get("/").status_code == 200


class TestPost:
    def test_response_has_links_expiry_and_reads(self, client: httpx.Client) -> None:
        """The response has the message id, both links, expiry and reads; Location is the link."""
        before = datetime.now(UTC)
        response = client.post("/", json={"message": "x", "ttl": 60, "reads": 3})
        posted = response.json()
        assert set(posted) == {"status", "message_id", "url", "expires_at", "reads", "receipt"}
        assert response.headers["location"] == posted["url"]
        assert path(posted["url"]).endswith(f"/msg/{posted['message_id']}")
        assert posted["reads"] == 3
        assert uuid.UUID(posted["receipt"].rsplit("/", 1)[1]).version == 4
        assert posted["receipt"].rsplit("/", 1)[1] != posted["message_id"]
        assert abs(moment(posted["expires_at"]) - before - timedelta(seconds=60)) < timedelta(seconds=5)

    def test_message_without_options_is_unlimited_for_7_days(self, client: httpx.Client) -> None:
        """Without options a message expires after 7 days and has unlimited reads."""
        posted = post(client)
        assert posted["reads"] is None
        assert abs(moment(posted["expires_at"]) - datetime.now(UTC) - timedelta(days=7)) < timedelta(seconds=5)

    def test_text_response_is_the_link(self, client: httpx.Client) -> None:
        """With Accept: text/plain the response is the link and a newline."""
        response = client.post("/", json={"message": "x"}, headers=TEXT)
        assert response.text == response.headers["location"] + "\n"
        assert response.headers["content-type"].startswith("text/plain")

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
    def test_odd_texts_are_returned_unchanged(self, client: httpx.Client, text: str) -> None:
        """The message is read back exactly, whichever content type it was sent with."""
        ways: list[dict[str, Any]] = [
            {"json": {"message": text}},
            {"content": text.encode(), "headers": {"content-type": "text/plain"}},
            {"data": {"message": text}},
            {"files": {"message": ("note.txt", text.encode())}},
        ]
        for way in ways:
            message_id = client.post("/", **way).json()["message_id"]
            assert client.get(f"/msg/{message_id}", headers=TEXT).content == text.encode()
            assert client.get(f"/msg/{message_id}", headers=JSON).json()["message"] == text

    def test_text_takes_options_from_the_query(self, client: httpx.Client) -> None:
        """text/plain takes its options from the query."""
        response = client.post("/?ttl=60&reads=2", content=b"x", headers={"content-type": "text/plain; charset=utf-8"})
        assert response.json()["reads"] == 2

    def test_forms_take_options_as_fields(self, client: httpx.Client) -> None:
        """Both kinds of form take the options as fields."""
        assert client.post("/", data={"message": "x", "reads": "2"}).json()["reads"] == 2
        assert client.post("/", files={"message": b"x"}, data={"reads": "2"}).json()["reads"] == 2

    def test_expires_at_sets_the_expiry(self, client: httpx.Client) -> None:
        """A time may be given instead of a lifetime, with any offset from UTC."""
        when = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
        local = when.astimezone(tz=datetime.strptime("+0530", "%z").tzinfo)
        assert moment(post(client, expires_at=local.isoformat())["expires_at"]) == when

    @pytest.mark.parametrize(
        "fields",
        [
            {"message": ""},
            {"message": 5},
            {"message": None},
            {"message": ["x"]},
            {"message": "x", "ttl": 0},
            {"message": "x", "ttl": -1},
            {"message": "x", "ttl": 604_801},
            {"message": "x", "ttl": "1M"},
            {"message": "x", "ttl": 1.5},
            {"message": "x", "ttl": True},
            {"message": "x", "ttl": 10**30},
            {"message": "x", "reads": 0},
            {"message": "x", "reads": 1001},
            {"message": "x", "reads": "one"},
            {"message": "x", "read": 1},
            {"message": "x", "ttl": 60, "expires_at": "2100-01-01T00:00:00Z"},
            {"message": "x", "expires_at": "2000-01-01T00:00:00Z"},
            {"message": "x", "expires_at": "2100-01-01T00:00:00Z"},
            {"message": "x", "expires_at": "tomorrow"},
            {"message": "x", "expires_at": "2026-11-30T12:00:00"},
            {"message": "x", "expires_at": 5},
        ],
        ids=json.dumps,
    )
    def test_invalid_or_unknown_field_gets_400(self, client: httpx.Client, fields: dict[str, Any]) -> None:
        """An unknown field is an error too: a mistyped `reads` must not create an unlimited message."""
        problem(client.post("/", json=fields), 400)

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("application/json", b""),
            ("application/json", b"[1]"),
            ("application/json", b'{"message": "x"} x'),
            ("application/json", b'{"message": "\xff"}'),
            ("application/json", b'{"message": "\\ud800"}'),
            ("application/json", b"[" * 30_000),
            ("application/json; charset=latin-1", b'{"message": "x"}'),
            ("application/xml", b"<message>x</message>"),
            ("text/plain", b""),
            ("text/plain", b"\xff\xfe"),
            ("application/x-www-form-urlencoded", b"hello=world"),
            ("application/x-www-form-urlencoded", b"hello&reads=1"),
            ("application/x-www-form-urlencoded", b'{"message": "x", "reads": 1}'),
            ("application/x-www-form-urlencoded", b"message=x&message=y"),
            ("application/x-www-form-urlencoded", b"message=x&reads="),
            ("application/x-www-form-urlencoded", b"message=x&reads=1e3"),
            ("application/x-www-form-urlencoded", b"message=%ff"),
            ("application/x-www-form-urlencoded", b"message=x&a=1&b=2&c=3&d=4"),
            ("application/x-www-form-urlencoded", b"reads=1"),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=b", b"x"),
            ("multipart/form-data; boundary=b", b'--b\r\ncontent-disposition: form-data; name="message"\r\n\r\nx'),
            ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        ],
    )
    def test_malformed_body_gets_400(self, client: httpx.Client, content_type: str, body: bytes) -> None:
        """A body that does not match its content type gets a problem that says why."""
        problem(client.post("/", content=body, headers={"content-type": content_type}), 400)

    def test_missing_content_type_gets_the_accepted_types(self, client: httpx.Client) -> None:
        """The problem names the accepted content types."""
        told = problem(client.post("/", content=b"x"), 400)
        assert "application/json" in told["detail"]
        assert "text/plain" in told["detail"]
        assert told["detail"].endswith(f" This works: curl -F message=hello -F reads=1 -F ttl=1h {address(client)}")

    def test_form_without_names_is_the_message(self, client: httpx.Client) -> None:
        """As `curl --data-binary @-` sends a text; options are in the query, and the response has them."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        posted = client.post("/?reads=1&ttl=1h", content=b"100% + tax\n", headers=form).json()
        assert posted["reads"] == 1
        assert abs(moment(posted["expires_at"]) - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=5)
        assert client.get(f"/msg/{posted['message_id']}", headers=TEXT).content == b"100% + tax\n"

    def test_options_are_taken_as_text(self, client: httpx.Client) -> None:
        """As HTTPie and PowerShell send them; the response has what they mean."""
        posted = post(client, reads="2", ttl="P1D")
        assert posted["reads"] == 2
        assert abs(moment(posted["expires_at"]) - datetime.now(UTC) - timedelta(days=1)) < timedelta(seconds=5)

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
    def test_put_stores_the_body(self, client: httpx.Client, text: str) -> None:
        """PUT /<name> stores the body as it is; the response is that to POST."""
        response = client.put("/notes.txt?reads=1", content=text.encode())
        assert response.status_code == 200
        assert set(response.json()) == {"status", "message_id", "url", "expires_at", "reads", "receipt"}
        assert response.json()["reads"] == 1
        assert response.headers["location"] == response.json()["url"]
        assert client.get(path(response.json()["url"]), headers=TEXT).content == text.encode()

    def test_put_has_the_limits_and_the_idempotency_of_post(self, client: httpx.Client) -> None:
        """A text that is too long gets 413, a repeat the first response, and fields and unknown options 400."""
        problem(client.put("/x", content=b"x" * 65_537), 413)
        key = {"idempotency-key": uuid.uuid4().hex}
        assert len({client.put(f"/{name}", content=b"x", headers=key).content for name in ("a", "b")}) == 1
        problem(client.put("/a", content=b"y", headers=key), 422)
        problem(client.put("/a", json={"message": "x", "reads": 1}), 400)
        problem(client.put("/a?read=1", content=b"x"), 400)

    def test_put_without_a_name_gets_a_command_that_works(self, client: httpx.Client) -> None:
        """PUT / keeps its 405, as clients of the first version expect."""
        told = problem(client.put("/", content=b"x"), 405)
        assert told["detail"].endswith(f" This works: curl -T FILE {address(client)}/")

    @pytest.mark.parametrize("query", ["?reads=1", "?message=x", "?unknown=1", "?reads=1&reads=2", "?reads=x"])
    def test_invalid_query_gets_400(self, client: httpx.Client, query: str) -> None:
        """Only text/plain takes options from the query, only known ones, once, and well-formed."""
        problem(client.post(f"/{query}", json={"message": "x"}), 400)
        if query != "?reads=1":
            problem(client.post(f"/{query}", content=b"x", headers={"content-type": "text/plain"}), 400)

    def test_too_long_message_gets_413(self, client: httpx.Client) -> None:
        """A message longer than 64 KiB of UTF-8 gets 413 in every content type; bytes are counted."""
        text = "é" * 32_769
        problem(client.post("/", json={"message": text}), 413)
        problem(client.post("/", data={"message": text}), 413)
        problem(client.post("/", files={"message": text.encode()}), 413)
        problem(client.post("/", content=text.encode(), headers={"content-type": "text/plain"}), 413)

    def test_too_long_chunked_body_gets_413_before_its_end(self, client: httpx.Client) -> None:
        """A client that keeps sending is disconnected."""
        begin = time.monotonic()

        def endless() -> Iterator[bytes]:
            while time.monotonic() < begin + 30:
                yield b"x" * 65_536

        with contextlib.suppress(httpx.WriteError):  # the connection is closed while the client sends
            problem(client.post("/", content=endless(), headers={"content-type": "text/plain"}), 413)
        assert time.monotonic() < begin + 15


class TestRead:
    def test_json_response_has_message_expiry_and_reads_left(self, client: httpx.Client) -> None:
        """The answer holds the message, its expiry and the reads left."""
        posted = post(client, "x", reads=2)
        shown = client.get(f"/msg/{posted['message_id']}", headers=JSON).json()
        assert shown == {"status": 200, "message": "x", "expires_at": posted["expires_at"], "reads_left": 1}

    def test_unlimited_message_is_read_repeatedly(self, client: httpx.Client) -> None:
        """A message with unlimited reads can be read any number of times, also with Accept: */*."""
        message_id = post(client)["message_id"]
        for _ in range(3):
            assert client.get(f"/msg/{message_id}", headers={"accept": "*/*"}).json()["reads_left"] is None

    def test_upper_case_id_finds_the_message(self, client: httpx.Client) -> None:
        """An id in upper case is the same id (RFC 9562, section 4)."""
        message_id = post(client)["message_id"]
        assert client.get(f"/msg/{message_id.upper()}").status_code == 200

    def test_message_is_gone_after_its_last_read(self, client: httpx.Client) -> None:
        """After N reads the response equals that for an unknown message."""
        message_id = post(client, reads=2)["message_id"]
        left = [client.get(f"/msg/{message_id}", headers=JSON).json()["reads_left"] for _ in range(2)]
        assert left == [1, 0]
        gone = client.get(f"/msg/{message_id}", headers=JSON)
        assert problem(gone, 404) == problem(client.get(f"/msg/{NOBODY}", headers=JSON), 404)

    @pytest.mark.parametrize(
        "accept",
        [
            *(None, "", "*/*", "text/*", "image/*", "application/*", "application/json;q=0", "application/xml"),
            "text/plain;q=0, text/plain",
        ],
    )
    def test_previews_spend_no_read(self, client: httpx.Client, accept: str | None) -> None:
        """A request that names none of our formats gets 428 with the formats to request, and spends no read."""
        message_id = post(client, reads=1)["message_id"]
        request = client.build_request("GET", f"/msg/{message_id}")
        del request.headers["accept"]
        if accept is not None:
            request.headers["accept"] = accept
        told = problem(client.send(request), 428)
        assert told["detail"].endswith(f" curl -H 'Accept: text/plain' {address(client)}/msg/{message_id}")
        assert client.get(f"/msg/{message_id}", headers=TEXT).text == "hello"

    @pytest.mark.parametrize(
        "accept",
        [
            "text/html, text/plain, text/sgml, */*;q=0.01",
            "text/html,application/json,*/*;q=0.8",
            "application/json;q=0.9,text/html;q=0.9",
        ],
    )
    def test_clients_that_like_html_as_much_spend_no_read(self, client: httpx.Client, accept: str) -> None:
        """They get the page, as browsers do."""
        message_id = post(client, reads=1)["message_id"]
        page = client.get(f"/msg/{message_id}", headers={"accept": accept})
        assert page.headers["content-type"].startswith("text/html")
        assert client.get(f"/msg/{message_id}", headers=TEXT).text == "hello"

    def test_browsers_get_the_same_page_for_every_id(self, client: httpx.Client) -> None:
        """The reader page reads nothing and reveals nothing: it is the same for a message and for none."""
        message_id = post(client, reads=1)["message_id"]
        pages = {client.get(f"/msg/{name}", headers=HTML).text for name in (message_id, NOBODY, "x")}
        assert len(pages) == 1
        assert client.get(f"/msg/{message_id}", headers=JSON).json()["message"] == "hello"

    def test_head_spends_no_read(self, client: httpx.Client) -> None:
        """HEAD has the headers of GET, no body, and spends no read."""
        message_id = post(client, "four", reads=1)["message_id"]
        for _ in range(3):
            head = client.head(f"/msg/{message_id}", headers=TEXT)
            assert (head.status_code, head.content, head.headers["x-reads-left"]) == (200, b"", "1")
        assert client.head(f"/msg/{message_id}").status_code == 428
        assert client.get(f"/msg/{message_id}", headers=TEXT).text == "four"
        assert client.head(f"/msg/{message_id}", headers=TEXT).status_code == 404

    def test_text_response_has_expiry_and_reads_left_in_headers(self, client: httpx.Client) -> None:
        """With text/plain the body is the message alone."""
        posted = post(client, reads=2)
        response = client.get(f"/msg/{posted['message_id']}", headers=TEXT)
        assert response.headers["x-expires-at"] == posted["expires_at"]
        assert response.headers["x-reads-left"] == "1"

    def test_expired_message_is_gone(self, client: httpx.Client) -> None:
        """The message is gone after its expiry, and its receipt says so."""
        posted = post(client, ttl=1)
        while datetime.now(UTC) <= moment(posted["expires_at"]):
            time.sleep(0.05)
        problem(client.get(f"/msg/{posted['message_id']}"), 404)
        assert client.get(path(posted["receipt"]), headers=JSON).json()["state"] == "expired"

    def test_simultaneous_readers_get_exactly_n_reads(self, client: httpx.Client) -> None:
        """Of 24 simultaneous readers exactly 5 get a message with 5 reads."""
        message_id = post(client, reads=5)["message_id"]
        gate = threading.Barrier(24)

        def read(_: int) -> int:
            gate.wait()
            return client.get(f"/msg/{message_id}", headers=JSON).status_code

        with ThreadPoolExecutor(24) as readers:
            codes = list(readers.map(read, range(24)))
        assert sorted(codes) == [200] * 5 + [404] * 19


class TestMissing:
    def test_missing_messages_get_equal_responses(self, client: httpx.Client) -> None:
        """Unknown, malformed, read out and burned get the same response, including headers."""
        read_out = post(client, reads=1)["message_id"]
        client.get(f"/msg/{read_out}", headers=JSON)
        burned = post(client)
        client.delete(path(burned["receipt"]))
        names = [NOBODY, "x", "a" * 500, NOBODY[:-1], read_out, burned["message_id"], str(uuid.uuid1()), ""]
        answers = [client.get(f"/msg/{name}", headers=JSON) for name in names]
        varying = {"date", "x-request-id", "ratelimit"}
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
        assert (
            len({frozenset(item for item in answer.headers.items() if item[0] not in varying) for answer in answers})
            == 1
        )

    @pytest.mark.alone
    def test_missing_messages_take_equal_time(self, client: httpx.Client) -> None:
        """The median response time does not tell malformed from unknown from burned."""
        burned = post(client)
        client.delete(path(burned["receipt"]))
        times: dict[str, list[float]] = {"x": [], NOBODY: [], burned["message_id"]: []}
        for _ in range(60):
            for name, measured in times.items():
                begin = time.perf_counter()
                client.get(f"/msg/{name}", headers=JSON)
                measured.append(time.perf_counter() - begin)
        medians = sorted(statistics.median(measured) for measured in times.values())
        assert medians[-1] < 2 * medians[0]


class TestReceipt:
    def test_receipt_shows_the_reads_left(self, client: httpx.Client) -> None:
        """Looking at the receipt spends no read."""
        posted = post(client, reads=2)
        expected = {
            "status": 200,
            "state": "available",
            "expires_at": posted["expires_at"],
            "reads": 2,
            "reads_left": 2,
        }
        assert client.get(path(posted["receipt"]), headers=JSON).json() == expected
        client.get(f"/msg/{posted['message_id']}", headers=JSON)
        assert client.get(path(posted["receipt"]), headers=JSON).json()["reads_left"] == 1

    def test_receipt_of_a_read_message_says_read(self, client: httpx.Client) -> None:
        """After the last read the state is read, and burning does not change it."""
        posted = post(client, reads=1)
        client.get(f"/msg/{posted['message_id']}", headers=JSON)
        assert client.get(path(posted["receipt"]), headers=JSON).json()["state"] == "read"
        assert client.delete(path(posted["receipt"])).json()["state"] == "read"

    @pytest.mark.parametrize("reads", [None, 3])
    def test_burned_message_is_unreadable(self, client: httpx.Client, reads: int | None) -> None:
        """DELETE makes the message unreadable; the state is burned, also for repeated requests."""
        posted = post(client, reads=reads)
        for answer in (client.delete(path(posted["receipt"])), client.get(path(posted["receipt"]), headers=JSON)):
            assert (answer.json()["state"], answer.json()["reads_left"]) == ("burned", 0)
            assert answer.json()["reads"] == reads
        problem(client.get(f"/msg/{posted['message_id']}", headers=JSON), 404)
        assert client.delete(path(posted["receipt"])).json()["state"] == "burned"

    def test_text_response_is_the_state(self, client: httpx.Client) -> None:
        """As text/plain a receipt is its state."""
        assert client.get(path(post(client)["receipt"]), headers=TEXT).text == "available\n"

    def test_browser_gets_a_page(self, client: httpx.Client) -> None:
        """A browser gets a page."""
        assert client.get(f"/receipt/{NOBODY}", headers=HTML).headers["content-type"].startswith("text/html")

    def test_head_of_a_receipt_is_answered(self, client: httpx.Client) -> None:
        """HEAD is answered."""
        assert client.head(path(post(client)["receipt"])).status_code == 200

    def test_message_and_receipt_ids_are_not_interchangeable(self, client: httpx.Client) -> None:
        """A message id is not a receipt id and the reverse, so a reader cannot burn and a receipt cannot read."""
        posted = post(client)
        problem(client.get(f"/receipt/{posted['message_id']}", headers=JSON), 404)
        problem(client.delete(f"/receipt/{posted['message_id']}"), 404)
        problem(client.get(path(posted["receipt"]).replace("/receipt/", "/msg/"), headers=JSON), 404)

    def test_missing_receipt_gets_the_404_of_a_missing_message(self, client: httpx.Client) -> None:
        """An unknown receipt gets the same response as an unknown message."""
        for answer in (client.get(f"/receipt/{NOBODY}", headers=JSON), client.delete(f"/receipt/{NOBODY}")):
            assert problem(answer, 404) == problem(client.get("/msg/x", headers=JSON), 404)


class TestIdempotency:
    def test_repeated_request_gets_the_same_response(self, client: httpx.Client) -> None:
        """The same key and request give the same response, whatever content type the request has."""
        key = {"idempotency-key": uuid.uuid4().hex}
        answers = [
            client.post("/", json={"message": "x", "reads": 2}, headers=key),
            client.post("/", json={"reads": 2, "message": "x"}, headers=key),
            client.post("/", data={"message": "x", "reads": "2"}, headers=key),
        ]
        assert len({answer.content for answer in answers}) == 1

    @pytest.mark.parametrize("other", [{"message": "y"}, {"message": "x", "ttl": 60}, {"message": "x", "reads": 1}])
    def test_another_request_with_the_key_gets_422(self, client: httpx.Client, other: dict[str, Any]) -> None:
        """The same key with another message, lifetime or reads is an error, and stores nothing."""
        key = {"idempotency-key": uuid.uuid4().hex}
        assert client.post("/", json={"message": "x"}, headers=key).status_code == 200
        problem(client.post("/", json=other, headers=key), 422)

    def test_simultaneous_requests_with_one_key_get_one_message(self, client: httpx.Client) -> None:
        """Of many simultaneous requests with one key, all get the response of the one that was stored."""
        key = {"idempotency-key": uuid.uuid4().hex}
        gate = threading.Barrier(12)

        def send(_: int) -> bytes:
            gate.wait()
            return client.post("/", json={"message": "x"}, headers=key).content

        with ThreadPoolExecutor(12) as senders:
            assert len(set(senders.map(send, range(12)))) == 1

    @pytest.mark.parametrize("key", ["", "order-77", "k" * 21, "k" * 22 + " k", "k" * 256])
    def test_invalid_key_gets_400(self, client: httpx.Client, key: str) -> None:
        """A key is 22 to 255 printable characters without spaces."""
        problem(client.post("/", json={"message": "x"}, headers={"idempotency-key": key}), 400)


def cut_off(client: httpx.Client, address: str, key: str, after: int) -> None:
    """Ask for a message, take so many bytes of the response, and reset the connection."""
    url = client.base_url
    connection = socket.create_connection((url.host, url.port or (443 if url.scheme == "https" else 80)), timeout=20)
    if url.scheme == "https":
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = trusting.wrap_socket(connection, server_hostname=url.host)
    with connection:
        head = f"GET {address} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n{ONE_JSON}Idempotency-Key: {key}\r\n\r\n"
        connection.sendall(head.encode())
        while after > 0 and (data := connection.recv(after)):
            after -= len(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class TestResumedReads:
    """Reads with an Idempotency-Key of the reader, which can be repeated."""

    def test_repeated_read_gets_the_same_response(self, client: httpx.Client) -> None:
        """The same key gets the same response and spends nothing, also after the last read."""
        posted = post(client, "é" * 1000, reads=2)
        address = path(posted["url"])
        for accept in (JSON, TEXT):
            keyed = {**accept, "idempotency-key": str(uuid.uuid4())}
            first, *others = (client.get(address, headers=keyed) for _ in range(3))
            assert first.status_code == 200
            assert {(other.content, other.headers.get("x-reads-left")) for other in others} == {
                (first.content, first.headers.get("x-reads-left"))
            }
        assert client.get(path(posted["receipt"]), headers=TEXT).text == "read\n"

    def test_cut_off_readers_come_back(self, client: httpx.Client) -> None:
        """Of 24 readers of a message with 16 reads that are cut off anywhere and come back, 16 get it, each 3 times."""
        posted = post(client, "x" * 2000, reads=16)
        address = path(posted["url"])
        keys = [str(uuid.uuid4()) for _ in range(24)]

        def come_back(key: str) -> list[tuple[int, str]]:
            for _ in range(2):
                cut_off(client, address, key, random.randrange(2500))
            responses = [client.get(address, headers={**JSON, "idempotency-key": key}) for _ in range(3)]
            return [(response.status_code, response.text) for response in responses]

        with ThreadPoolExecutor(24) as pool:
            served = [outcome for outcome in pool.map(come_back, keys) if outcome[0][0] == 200]
        assert len(served) == 16
        assert all(len(set(outcome)) == 1 for outcome in served)
        assert sorted(json.loads(outcome[0][1])["reads_left"] for outcome in served) == [*range(16)]
        assert client.get(address, headers={**JSON, "idempotency-key": str(uuid.uuid4())}).status_code == 404
        assert client.get(address, headers=JSON).status_code == 404

    def test_another_key_or_message_gets_nothing(self, client: httpx.Client) -> None:
        """A key opens the answer of its own message alone, and HEAD and previews do not ask for it."""
        key = {"idempotency-key": str(uuid.uuid4())}
        first, second = (path(post(client, text, reads=1)["url"]) for text in ("one", "two"))
        assert client.get(first, headers={**JSON, **key}).json()["message"] == "one"
        assert client.get(second, headers={**JSON, **key}).json()["message"] == "two"
        problem(client.get(first, headers={**JSON, "idempotency-key": str(uuid.uuid4())}), 404)
        problem(client.get(first, headers=JSON), 404)
        problem(client.get(first, headers={"accept": "*/*", **key}), 404)
        assert client.head(first, headers={**JSON, **key}).status_code == 404

    def test_burned_answer_is_gone(self, client: httpx.Client) -> None:
        """A burn removes the answers that are kept, of a message with reads left and of one without."""
        for reads in (1, 2):
            posted, key = post(client, reads=reads), {"idempotency-key": str(uuid.uuid4())}
            assert client.get(path(posted["url"]), headers={**JSON, **key}).status_code == 200
            client.delete(path(posted["receipt"]))
            problem(client.get(path(posted["url"]), headers={**JSON, **key}), 404)

    @pytest.mark.parametrize("key", ["x" * 21, "x" * 256, "with a space in it, and long", ""])
    def test_invalid_key_spends_nothing(self, client: httpx.Client, key: str) -> None:
        """A key that can be guessed gets 400."""
        address = path(post(client, reads=1)["url"])
        problem(client.get(address, headers={**JSON, "idempotency-key": key}), 400)
        assert client.get(address, headers=JSON).status_code == 200


class TestAddresses:
    @pytest.mark.parametrize(
        "address", ["/x", "/favicon.ico", "/msg", "/msg/a/b", "/receipt", "/assets/x", "/live", "/metrics"]
    )
    def test_unknown_address_gets_404(self, client: httpx.Client, address: str) -> None:
        """Health and metrics are not on this port."""
        problem(client.get(address), 404)

    @pytest.mark.parametrize(
        ("address", "allow"),
        [
            ("/", {"GET", "HEAD", "POST"}),
            (f"/msg/{NOBODY}", {"GET", "HEAD", "POST"}),
            (f"/receipt/{NOBODY}", {"GET", "HEAD", "DELETE"}),
            ("/openapi.json", {"GET", "HEAD"}),
            ("/docs", {"GET", "HEAD"}),
            ("/robots.txt", {"GET", "HEAD"}),
        ],
    )
    def test_other_methods_get_405(self, client: httpx.Client, address: str, allow: set[str]) -> None:
        """Any other method gets 405 with the allowed methods, including OPTIONS."""
        for method in {"PUT", "PATCH", "POST", "DELETE", "OPTIONS", "PROPFIND"} - allow:
            response = client.request(method, address)
            problem(response, 405)
            assert set(response.headers["allow"].split(", ")) == allow

    def test_root_describes_the_service(self, client: httpx.Client) -> None:
        """GET / returns the service and its limits; a browser gets the page; HEAD is answered."""
        told = client.get("/").json()
        assert told["service"] == "messaging_api"
        limits = {
            "max_message_bytes": 65_536,
            "max_ttl": 604_800,
            "default_ttl": 604_800,
            "max_reads": 1000,
            "resume_seconds": 60,
        }
        assert told["limits"] == limits
        assert client.get("/", headers=HTML).headers["content-type"].startswith("text/html")
        assert client.head("/").status_code == 200

    @pytest.mark.parametrize("agent", ["curl/8.5.0", "Wget/1.21.3"])
    def test_root_helps_people_at_a_command_line(self, client: httpx.Client, agent: str) -> None:
        """`curl URL` gets ten lines that work; programs get JSON, also curl if it asks for it."""
        told = client.get("/", headers={"user-agent": agent, "accept": "*/*"})
        assert told.headers["content-type"] == "text/plain; charset=utf-8"
        assert len(told.text.splitlines()) == 10
        assert told.text.count(address(client)) >= 6
        assert client.get("/", headers={"user-agent": agent, **JSON}).json()["service"] == "messaging_api"
        assert client.get("/", headers={"user-agent": "x", **TEXT}).text == told.text

    def test_crawlers_are_told_to_stay_away(self, client: httpx.Client) -> None:
        """robots.txt (RFC 9309) forbids every address."""
        told = client.get("/robots.txt")
        assert told.text == "User-agent: *\nDisallow: /\n"
        assert told.headers["content-type"] == "text/plain; charset=utf-8"

    def test_docs_and_contract_are_served(self, client: httpx.Client) -> None:
        """The contract and its human-readable form are served."""
        assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
        assert client.get("/docs").headers["content-type"].startswith("text/html")


class TestEveryResponse:
    @pytest.mark.parametrize(
        ("method", "address", "options"),
        [
            ("GET", "/", {}),
            ("GET", "/", {"headers": HTML}),
            ("POST", "/", {"json": {"message": "x"}}),
            ("POST", "/", {"json": {}}),
            ("POST", "/", {"json": {"message": "x" * 70_000}}),
            ("GET", f"/msg/{NOBODY}", {}),
            ("GET", f"/msg/{NOBODY}", {"headers": HTML}),
            ("HEAD", f"/msg/{NOBODY}", {}),
            ("GET", "/nowhere", {}),
            ("PUT", "/", {}),
            ("GET", "/openapi.json", {}),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_response_has_the_security_headers(
        self, client: httpx.Client, method: str, address: str, options: dict[str, Any]
    ) -> None:
        """Every response, errors included, has OWASP's headers for REST and a request id."""
        headers = client.request(method, address, **options).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "no-store" in headers["cache-control"]
        assert "permissions-policy" in headers
        assert headers["x-robots-tag"] == "noindex"
        assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"])
        assert ("strict-transport-security" in headers) == (client.base_url.scheme == "https")
        assert "server" not in headers

    def test_responses_end_in_a_newline(self, client: httpx.Client) -> None:
        """So that no prompt follows on the same line. Only the message itself is as it is."""
        posted = post(client, "x")
        links = (path(posted["url"]), path(posted["receipt"]))
        asked = [
            (name, kind) for name in ("/", *links, "/openapi.json", "/nowhere", "/robots.txt") for kind in (JSON, TEXT)
        ]
        asked.remove((links[0], TEXT))
        answers = [client.get(name, headers=kind) for name, kind in asked]
        answers += [
            client.post("/", json=body, headers=kind) for body in ({"message": "x"}, {}) for kind in (JSON, TEXT)
        ]
        answers.append(client.delete(links[1]))
        assert {answer.text[-1] for answer in answers} == {"\n"}
        assert {answer.text[-2] == "\n" for answer in answers} == {False}
        assert client.get(path(post(client, "x")["url"]), headers=TEXT).content == b"x"

    def test_request_id_of_the_client_is_ignored(self, client: httpx.Client) -> None:
        """A request id from a client could bring a secret into the logs."""
        assert client.get("/", headers={"x-request-id": "mine"}).headers["x-request-id"] != "mine"

    @pytest.mark.parametrize("host", ["a b", "evil.example/x", "a\\b", "a,b", "<script>"])
    def test_invalid_host_is_rejected(self, client: httpx.Client, host: str) -> None:
        """Links are never built from a Host header that is not a name or an address."""
        problem(client.post("/", json={"message": "x"}, headers={"host": host}), 400)
