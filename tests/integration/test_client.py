"""Both Python clients against a real server, with faults in between."""

import asyncio
import contextlib
import datetime as dt
import logging
import re
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from messaging_api.client import (
    AsyncClient,
    BadLink,
    Client,
    KeyMissing,
    Link,
    NoMessage,
    NotAnEnvelope,
    PasswordMissing,
    ReadInterrupted,
    RequestRejected,
    RetryPolicy,
    ServerBusy,
    TokenRequired,
    TooLong,
    UnexpectedResponse,
    Unreachable,
    WrongPassword,
    decrypt,
    transport,
)
from messaging_api.client.flows import Flow, RunInThread
from tests.support.faulty_proxy import Fault, answer, proxied
from tests.support.redis_server import free_port
from tests.support.service import Running, serving

EAGER = RetryPolicy(max_seconds=30, random=lambda: 0.0)
"""Waits only as long as the server asks for."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start one server for this module."""
    folder = tmp_path_factory.mktemp("client")
    unlimited = ("--limit-create", "0", "--limit-miss", "0")
    with serving(folder, f"sqlite://{folder}/messages.db", "--workers", "1", *unlimited) as running:
        yield running


class BlockingAsyncClient:
    """An AsyncClient whose methods block, so that one test covers both clients."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self._runner.run(getattr(self._client, name)(*args, **kwargs))

    def __enter__(self) -> Self:
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._client.__aexit__(*error))
        self._runner.close()


@pytest.fixture(params=[Client, BlockingAsyncClient], ids=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Any:
    """Return a function that makes a blocking or an asynchronous client."""
    return request.param


def test_message_is_sent_read_and_gone(service: Running, make_client: Any) -> None:
    """A message with two reads can be read twice, and its receipt follows."""
    with make_client(service.url) as client:
        sent = client.send("hello é", reads=2, ttl=60)
        assert client.receipt(sent.receipt).reads_left == 2
        assert (client.read(sent.link).text, client.read(sent.link).reads_left) == ("hello é", 0)
        assert client.receipt(sent.receipt).state == "read"
        with pytest.raises(NoMessage):
            client.read(sent.link)
        assert client.burn(sent.receipt).state == "read"


def test_lifetimes(service: Running, make_client: Any) -> None:
    """A lifetime is a number of seconds, a timedelta or a point in time."""
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=3)
    with make_client(service.url) as client:
        assert client.send("x", expires_at=moment).expires_at == moment
        hour = client.send("x", ttl=dt.timedelta(hours=3)).expires_at
        assert abs(hour - client.send("x", ttl=10_800).expires_at) < dt.timedelta(minutes=1)
        assert client.limits().max_message_bytes == 65_536


@pytest.mark.parametrize("ttl", [10_800, dt.timedelta(hours=3), "3h", "180m", "10800"])
def test_lifetime_has_any_form(service: Running, make_client: Any, ttl: Any) -> None:
    """Seconds, a timedelta and a text as on the command line mean the same."""
    with make_client(service.url) as client:
        left = client.send("x", ttl=ttl).expires_at - dt.datetime.now(dt.UTC)
    assert abs(left - dt.timedelta(hours=3)) < dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"text": b"hello"}, TypeError, "text must be a str, not bytes"),
        ({"text": None}, TypeError, "text must be a str, not NoneType"),
        ({"text": ""}, ValueError, "text must not be empty"),
        ({"ttl": "soon"}, ValueError, "a duration is written like"),
        ({"ttl": 1.5}, TypeError, "ttl must be an int, a timedelta or a str such as '1h', not float"),
        ({"ttl": True}, TypeError, "ttl must be"),
        ({"reads": "1"}, TypeError, "reads must be an int, not str"),
        ({"expires_at": dt.datetime(2030, 1, 1)}, ValueError, "expires_at must have a time zone"),  # noqa: DTZ001
        ({"expires_at": "2030-01-01"}, TypeError, "expires_at must be a datetime, not str"),
        ({"password": b"hush"}, TypeError, "password must be a str, not bytes"),
    ],
)
def test_wrong_arguments_of_send(make_client: Any, arguments: Any, error: type[Exception], said: str) -> None:
    """The error names the argument and the type, before a request is sent: nobody listens here."""
    with make_client(f"127.0.0.1:{free_port()}") as client, pytest.raises(error, match=f"^{said}"):
        client.send(**{"text": "x", **arguments})


@pytest.mark.parametrize("method", ["read", "fetch", "receipt", "burn"])
def test_link_must_be_a_text(make_client: Any, method: str) -> None:
    """None and bytes are told."""
    with make_client() as client:
        for link in (None, b"https://msg.example"):
            with pytest.raises(TypeError, match=f"^a link must be a str, not {type(link).__name__}"):
                getattr(client, method)(link)


def test_errors_have_the_facts_of_the_response(service: Running, make_client: Any) -> None:
    """Status, request id and the server's problem; None where there is no response or no problem."""
    link = f"{service.url}/msg/{uuid.uuid4()}"
    with make_client(service.url, policy=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NoMessage) as missing:
            client.read(link)
        with pytest.raises(RequestRejected, match=r"^The lifetime is 8d; this server accepts 1s to 7d\.$") as rejected:
            client.send("x", ttl="8d")
        with pytest.raises(RequestRejected, match=r"^The number of reads is 2000; this server accepts 1 to 1000\.$"):
            client.send("x", reads=2000)
    for error, status, slug in ((missing.value, 404, "no-message"), (rejected.value, 400, "invalid")):
        assert error.status == status
        assert re.fullmatch("[0-9a-f]{16}", error.request_id or "")
        assert error.problem
        assert error.problem.type.endswith(f"#{slug}")
        assert error.problem.title
    page = answer("404 Not Found", "<html>", content_type="text/html", x_request_id="abc")
    with (
        proxied(service.url, page) as proxy,
        make_client(proxy.url) as client,
        pytest.raises(UnexpectedResponse) as other,
    ):
        client.limits()
    assert (other.value.status, other.value.request_id, other.value.problem) == (404, "abc", None)
    assert (BadLink("x").status, BadLink("x").request_id, BadLink("x").problem) == (None, None, None)


@pytest.mark.parametrize("headers", [{"Host": "x"}, {"a b": "x"}, {"x": "hush\r\ny: z"}, {"x": "hüsh"}])
def test_wrong_headers(make_client: Any, headers: dict[str, str]) -> None:
    """A header that cannot be sent, or that is the client's own, is an error that does not show its value."""
    with pytest.raises(ValueError, match="header") as caught:
        make_client(headers=headers)
    assert "sh" not in str(caught.value)


def test_token_and_authorization_cannot_be_combined(make_client: Any) -> None:
    """They are the same header."""
    with pytest.raises(ValueError, match="cannot be combined"):
        make_client("https://x.example", token="hush", headers={"authorization": "Basic x"})


def test_burn_deletes_the_message(service: Running, make_client: Any) -> None:
    """A burned message is gone, and its receipt says so."""
    with make_client(service.url) as client:
        sent = client.send("hello")
        assert client.burn(sent.receipt).state == client.receipt(sent.receipt).state == "burned"
        with pytest.raises(NoMessage):
            client.read(sent.link)


def test_server_sees_only_envelopes(service: Running, make_client: Any) -> None:
    """The server receives an envelope, and plain text only with encrypt=False."""
    with make_client(service.url) as client:
        sent, plain = client.send("hello"), client.send("hello", encrypt=False)
        assert client.fetch(sent.link).text.startswith("e2e1.")
        assert client.fetch(plain.link).text == client.read(plain.link).text == "hello"
        assert "#" not in plain.link
        with pytest.raises(KeyMissing) as caught:
            client.read(sent.link.partition("#")[0])
        assert caught.value.envelope.startswith("e2e1.")
        with pytest.raises(NotAnEnvelope):
            client.read(plain.link + "#" + sent.link.partition("#")[2])


def test_missing_password_spends_no_read(service: Running, make_client: Any) -> None:
    """A missing password is reported before the fetch. A wrong one is reported with the envelope."""
    with make_client(service.url) as client:
        sent = client.send("hello", password="right", reads=1)
        with pytest.raises(PasswordMissing):
            client.read(sent.link)
        assert client.receipt(sent.receipt).state == "available"
        with pytest.raises(WrongPassword) as caught:
            client.read(sent.link, "wrong")
        assert client.receipt(sent.receipt).state == "read"
        assert decrypt(caught.value.envelope, Link.parse(sent.link, "msg").key, "right") == "hello"


def test_too_long_text_is_not_posted(service: Running, make_client: Any) -> None:
    """The client compares the message with the server's limit before it posts it."""
    with proxied(service.url) as proxy, make_client(proxy.url) as client:
        assert client.read(client.send("é" * 22_527 + "x").link).text.startswith("é")
        assert proxy.seen() == ["GET", "POST", "GET"]
        with pytest.raises(TooLong, match="45056 bytes; this server accepts at most 45055, encrypted"):
            client.send("x" * 45_056)
        with pytest.raises(TooLong, match="at most 65536, unencrypted"):
            client.send("x" * 65_537, encrypt=False)
        assert proxy.seen() == ["GET", "POST", "GET", "GET", "GET"]


def test_rejections_have_the_text_of_the_server(service: Running, make_client: Any) -> None:
    """The server's reason is in the error. Wrong calls raise ValueError."""
    with make_client(service.url) as client:
        with pytest.raises(RequestRejected, match="expires_at must be"):
            client.send("x", expires_at=dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
        for wrong in ({"text": ""}, {"text": "x", "password": ""}, {"text": "x", "password": "x", "encrypt": False}):
            with pytest.raises(ValueError, match="empty"):
                client.send(**wrong)


def test_lost_response_creates_no_second_message(tmp_path: Path, make_client: Any) -> None:
    """A post without a response is repeated with the same key, and one message is stored."""
    store = tmp_path / "messages.db"
    with (
        serving(tmp_path, f"sqlite://{store}", "--workers", "1") as service,
        proxied(service.url, "lose", "half", "drop", answer("502 Bad Gateway")) as proxy,
        make_client(proxy.url, policy=EAGER) as client,
    ):
        client.send("hello")
        assert proxy.seen() == ["POST"] * 4
        keys = {line for request in proxy.requests for line in request.split(b"\r\n") if b"idempotency-key" in line}
        (key,) = keys
        assert uuid.UUID(key.split(b": ")[1].decode()).version == 4
        with contextlib.closing(sqlite3.connect(store)) as database:
            message_receipt_and_answer = 3
            assert database.execute("SELECT count(*) FROM records").fetchone() == (message_receipt_and_answer,)


@pytest.mark.parametrize("faults", [["lose"], ["half"], ["lose", "pass", "half", "drop"], [answer("502 Bad Gateway")]])
@pytest.mark.parametrize("reads", [1, 3])
def test_interrupted_read_is_resumed(service: Running, make_client: Any, faults: list[Fault], reads: int) -> None:
    """A read whose response does not arrive is repeated with its key, and one read is spent."""
    with (
        make_client(service.url) as sender,
        proxied(service.url, *faults) as proxy,
        make_client(policy=EAGER) as client,
    ):
        sent = sender.send("hello", reads=reads)
        read = client.read(proxy.through(sent.link))
        assert (read.text, read.reads_left) == ("hello", reads - 1)
        assert (sender.receipt(sent.receipt).reads_left or 0) == reads - 1
        keys = {line for request in proxy.requests for line in request.split(b"\r\n") if b"idempotency-key" in line}
        assert len(keys) == 1


def test_read_that_cannot_be_resumed_in_time_is_not_repeated(service: Running, make_client: Any) -> None:
    """If the message is gone when the read is resumed, or the server does not come back, the error says so."""
    drops: list[Fault] = ["drop"]
    faults: list[Fault] = [answer("504 Gateway Timeout"), "pass", "pass", "lose", "pass", *drops * 9]
    with (
        make_client(service.url) as sender,
        proxied(service.url, *faults) as proxy,
        make_client(policy=RetryPolicy(max_attempts=2, random=lambda: 0.01)) as client,
    ):
        burned, sent = sender.send("hello", reads=1), sender.send("hello", reads=1)
        sender.burn(burned.receipt)
        with pytest.raises(ReadInterrupted, match="no longer exists") as gone:
            client.read(proxy.through(burned.link))
        with pytest.raises(ReadInterrupted, match="not known") as unknown:
            client.read(proxy.through(sent.link))
        assert (gone.value.reads_left, unknown.value.reads_left) == (0, None)


def test_busy_server_after_an_interrupted_read_is_no_excuse(service: Running, make_client: Any) -> None:
    """A read that may be spent is not reported as one that was never tried, whatever later attempts get."""
    for busy in (answer("503 Service Unavailable"), answer("429 Too Many Requests")):
        with (
            make_client(service.url) as sender,
            proxied(service.url, "lose", "pass", busy, busy) as proxy,
            make_client(policy=RetryPolicy(max_attempts=2, random=lambda: 0.01)) as client,
        ):
            sent = sender.send("hello", reads=2)
            with pytest.raises(ReadInterrupted, match="not known"):
                client.read(proxy.through(sent.link))


@pytest.fixture(scope="module")
def without_resume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service that does not resume reads."""
    folder = tmp_path_factory.mktemp("without-resume")
    with serving(folder, f"sqlite://{folder}/messages.db", "--resume-seconds", "0") as running:
        yield running


@pytest.mark.parametrize("fault", ["lose", "half", answer("502 Bad Gateway"), answer("504 Gateway Timeout")])
@pytest.mark.parametrize(("reads", "left"), [(1, 0), (3, 2)])
def test_interrupted_limited_read_is_not_repeated(
    without_resume: Running, make_client: Any, fault: Any, reads: int, left: int
) -> None:
    """Where reads are not resumed, only the reads left are requested after an interrupted read."""
    with make_client(without_resume.url) as client, proxied(without_resume.url, fault) as proxy:
        sent = client.send("hello", reads=reads)
        with pytest.raises(ReadInterrupted) as caught:
            client.read(proxy.through(sent.link))
        assert caught.value.reads_left == (reads if isinstance(fault, bytes) else left)
        assert proxy.seen() == ["GET", "GET", "HEAD"]


def test_reads_use_new_connections(service: Running) -> None:
    """A read never reuses a connection, which the server might close at that moment."""
    with Client(service.url) as sender, Client() as reader:
        reader.read(sender.send("hello").link)
        clients = [sender._transport._clients, reader._transport._clients]
        assert [list(each) for each in clients] == [[(None, True)], [(None, False)]]
        pools = [http._transport._pool for each in clients for http in each.values()]  # type: ignore[attr-defined]
        assert [len(pool.connections) for pool in pools] == [1, 0]


def test_interrupted_unlimited_read_is_repeated(without_resume: Running, make_client: Any) -> None:
    """A message with unlimited reads is requested until it arrives complete."""
    url = without_resume.url
    faults: list[Fault] = ["lose", "pass", "pass", "half"]
    with make_client(url, policy=EAGER) as client, proxied(url, *faults) as proxy:
        sent = client.send("hello")
        assert client.read(proxy.through(sent.link)).text == "hello"
        assert proxy.seen() == ["GET", "GET", "HEAD"] * 2 + ["GET"]


def test_interrupted_reads_end(without_resume: Running, make_client: Any) -> None:
    """The client gives up after some interrupted reads, whatever the policy allows."""
    faults: list[Fault] = ["half", "pass", "pass"]
    with (
        make_client(without_resume.url) as sender,
        proxied(without_resume.url, *faults * 4) as proxy,
        make_client(policy=RetryPolicy(max_attempts=1000)) as client,
    ):
        sent = sender.send("hello")
        with pytest.raises(ReadInterrupted, match="each time it was tried"):
            client.read(proxy.through(sent.link))
        assert proxy.seen() == ["GET", "GET", "HEAD"] * 4


def test_interrupted_read_with_unknown_reads_left(service: Running, make_client: Any) -> None:
    """If the reads left cannot be requested, the error says that they are unknown."""
    with (
        make_client(service.url) as sender,
        make_client(policy=RetryPolicy(max_attempts=1)) as client,
        proxied(service.url, "lose", "drop") as proxy,
    ):
        sent = sender.send("hello", reads=3)
        with pytest.raises(ReadInterrupted, match="not known") as caught:
            client.read(proxy.through(sent.link))
        assert caught.value.reads_left is None


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_retry_after_is_respected(service: Running, make_client: Any, status: str) -> None:
    """The client waits as long as Retry-After says. Reads are repeated too: 429 and 503 spend none."""
    waits: list[float] = []
    busy = answer(status, retry_after="1")
    with (
        proxied(service.url, busy, "pass", busy) as proxy,
        make_client(proxy.url, policy=EAGER, on_wait=lambda seconds, _why: waits.append(seconds)) as client,
    ):
        begin = time.monotonic()
        assert client.read(client.send("hello", reads=1).link).text == "hello"
        assert waits == [1.0, 1.0]
        assert time.monotonic() - begin >= 2.0
        assert proxy.seen() == ["POST", "POST", "GET", "GET"]


def test_long_retry_after_raises_server_busy(service: Running, make_client: Any) -> None:
    """A longer Retry-After than the policy allows is not waited for. The error contains it."""
    with (
        proxied(service.url, answer("429 Too Many Requests", retry_after="3600")) as proxy,
        make_client(proxy.url) as client,
    ):
        with pytest.raises(ServerBusy) as caught:
            client.send("hello")
        assert caught.value.retry_after == 3600
        assert proxy.seen() == ["POST"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answer("200 OK", "<html>", content_type="text/html"), UnexpectedResponse),
        (answer("200 OK", '{"status": 200}', content_type="application/json"), UnexpectedResponse),
        (answer("301 Moved Permanently", location="https://elsewhere.example/"), UnexpectedResponse),
        (answer("404 Not Found", "<html>"), UnexpectedResponse),
        (answer("404 Not Found", "{", content_type="application/problem+json"), UnexpectedResponse),
        (answer("401 Unauthorized"), TokenRequired),
        (answer("413 Content Too Large"), TooLong),
        (answer("500 Internal Server Error"), ServerBusy),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Unreachable),
        (
            answer(
                "200 OK", '{"url": "https://evil.example/?x=", "receipt": "", "expires_at": "2030-01-01T00:00:00Z"}'
            ),
            UnexpectedResponse,
        ),
    ],
)
def test_unexpected_responses(service: Running, make_client: Any, fault: bytes, error: type[Exception]) -> None:
    """Responses of other programs raise errors of the client, and no other exception."""
    with (
        proxied(service.url, *[fault] * 3) as proxy,
        make_client(proxy.url, policy=RetryPolicy(max_attempts=1)) as client,
    ):
        with pytest.raises(error):
            client.send("hello")
        with pytest.raises((error, UnexpectedResponse, ReadInterrupted)):
            client.read(f"{proxy.url}/msg/{'0' * 8}-0000-4000-8000-{'0' * 12}")


def test_refused_connection_is_retried(make_client: Any) -> None:
    """A refused connection is retried. The error contains the reason, but no address."""
    waits: list[float] = []
    port = free_port()
    policy = RetryPolicy(max_attempts=3, random=lambda: 0.01)
    with make_client(f"http://127.0.0.1:{port}", policy=policy, on_wait=lambda s, _: waits.append(s)) as client:
        with pytest.raises(Unreachable, match=r"^Connection refused$"):
            client.send("hello")
        assert waits == [0.0025, 0.005]


def test_read_without_connection_is_unreachable(make_client: Any) -> None:
    """Without a connection no read is spent, so the error is Unreachable."""
    link = f"http://127.0.0.1:{free_port()}/msg/{'0' * 8}-0000-4000-8000-{'0' * 12}"
    with make_client(policy=RetryPolicy(max_attempts=1)) as client, pytest.raises(Unreachable, match="refused"):
        client.read(link)


def test_timeout(make_client: Any) -> None:
    """A server that does not respond in time is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        policy = RetryPolicy(max_attempts=2)
        with make_client(url, timeout=0.1, policy=policy) as client, pytest.raises(Unreachable, match="in time"):
            client.send("hello")


def test_large_response_is_not_read(service: Running, make_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response larger than any message is not read to its end."""
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1000)
    with proxied(service.url, answer("200 OK", "x" * 1001)) as proxy, make_client(proxy.url) as client:
        with pytest.raises(Unreachable, match="too large"):
            client.limits()
        assert proxy.seen() == ["GET"]


def test_token_is_sent_only_with_new_messages(service: Running, make_client: Any) -> None:
    """Only a post contains the token, and no request contains a key."""
    with proxied(service.url) as proxy, make_client(proxy.url, token="hush-hush") as client:
        sent = client.send("hello")
        client.read(sent.link)
        client.receipt(sent.receipt)
        client.burn(sent.receipt)
        client.limits()
        assert [b"authorization: bearer hush-hush" in request.lower() for request in proxy.requests] == [
            True, False, False, False, False,
        ]  # fmt: skip
        key = sent.link.partition("#")[2].encode()
        assert not any(key in request or b"#" in request for request in proxy.requests)


def test_logs_contain_no_secrets(service: Running, make_client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The client logs no secret at any level. Other uses of httpx are still logged."""
    caplog.set_level(logging.DEBUG)
    with make_client(service.url, token="hush-hush") as client:
        sent = client.send("the text", password="the password")
        client.read(sent.link, "the password")
        client.receipt(sent.receipt)
    secrets = ["the text", "the password", "hush-hush", *sent.link.split("/")[-1].split("#"), sent.receipt[-36:]]
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert [secret for secret in secrets if secret in logged] == []
    httpx.get(service.url)
    assert "HTTP Request: GET" in caplog.text


def test_send_requires_a_server(service: Running, make_client: Any) -> None:
    """Without a server, send raises ValueError. A wrong address raises BadLink. The scheme may be missing."""
    with make_client() as client, pytest.raises(ValueError, match="requires a server"):
        client.send("hello")
    with pytest.raises(BadLink):
        make_client("ftp://localhost:5000")
    with make_client(service.url.removeprefix("http://")) as client:
        assert client.read(client.send("hello").link).text == "hello"


def test_concurrent_reads(service: Running) -> None:
    """Of twenty concurrent tasks, exactly three read a message with three reads."""

    async def race() -> list[object]:
        async with AsyncClient(service.url) as client:
            sent = await client.send("hello", reads=3)
            results = await asyncio.gather(*(client.read(sent.link) for _ in range(20)), return_exceptions=True)
            return list(results)

    results = asyncio.run(race())
    assert sum(not isinstance(result, NoMessage) for result in results) == 3


def test_computations_run_in_a_thread(service: Running) -> None:
    """Computations do not run on the thread of the event loop."""
    threads: set[int] = set()

    async def send() -> None:
        async with AsyncClient(service.url) as client:
            await client._run(_compute(threads))

    asyncio.run(send())
    assert threads.isdisjoint({threading.get_ident()})
    assert len(threads) == 1


def _compute(threads: set[int]) -> Flow[None]:
    yield RunInThread(lambda: threads.add(threading.get_ident()))
