"""The Python client against the real service, in both colours, and with faults in between."""

import asyncio
import contextlib
import datetime as dt
import logging
import socket
import sqlite3
import threading
import time
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
from tests.support.faulty_proxy import answer, proxied
from tests.support.redis_server import free_port
from tests.support.service import Running, serving

EAGER = RetryPolicy(max_seconds=30, random=lambda: 0.0)
"""Waits only as long as the server asks for."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all of these."""
    folder = tmp_path_factory.mktemp("client")
    unlimited = ("--limit-create", "0", "--limit-miss", "0")
    with serving(folder, f"sqlite://{folder}/messages.db", "--workers", "1", *unlimited) as running:
        yield running


class Awaited:
    """An AsyncClient whose methods are run to their end, so that one test can be had with both."""

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


@pytest.fixture(params=[Client, Awaited], ids=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Any:
    """Makes a client of either colour."""
    return request.param


def test_the_life_of_a_message(service: Running, colour: Any) -> None:
    """Sent, looked after, read by as many as were asked for, gone."""
    with colour(service.url) as client:
        sent = client.send("hello é", reads=2, ttl=60)
        assert client.receipt(sent.receipt).reads_left == 2
        assert (client.read(sent.link).text, client.read(sent.link).reads_left) == ("hello é", 0)
        assert client.receipt(sent.receipt).state == "read"
        with pytest.raises(NoMessage):
            client.read(sent.link)
        assert client.burn(sent.receipt).state == "read"


def test_lives(service: Running, colour: Any) -> None:
    """Seconds, a span of time, a moment."""
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=3)
    with colour(service.url) as client:
        assert client.send("x", expires_at=moment).expires_at == moment
        hour = client.send("x", ttl=dt.timedelta(hours=3)).expires_at
        assert abs(hour - client.send("x", ttl=10_800).expires_at) < dt.timedelta(minutes=1)
        assert client.limits().max_message_bytes == 65_536


def test_burning(service: Running, colour: Any) -> None:
    """A burned message is gone, and its receipt says so."""
    with colour(service.url) as client:
        sent = client.send("hello")
        assert client.burn(sent.receipt).state == client.receipt(sent.receipt).state == "burned"
        with pytest.raises(NoMessage):
            client.read(sent.link)


def test_the_service_sees_nothing(service: Running, colour: Any) -> None:
    """What is handed over is an envelope; plain only when asked for."""
    with colour(service.url) as client:
        sent, plain = client.send("hello"), client.send("hello", encrypt=False)
        assert client.fetch(sent.link).text.startswith("e2e1.")
        assert client.fetch(plain.link).text == client.read(plain.link).text == "hello"
        assert "#" not in plain.link
        with pytest.raises(KeyMissing) as caught:
            client.read(sent.link.partition("#")[0])
        assert caught.value.envelope.startswith("e2e1.")
        with pytest.raises(NotAnEnvelope):
            client.read(plain.link + "#" + sent.link.partition("#")[2])


def test_a_missing_password_spends_nothing(service: Running, colour: Any) -> None:
    """The link says that it takes one; a wrong one is told with the envelope, so that the only read is not lost."""
    with colour(service.url) as client:
        sent = client.send("hello", password="right", reads=1)
        with pytest.raises(PasswordMissing):
            client.read(sent.link)
        assert client.receipt(sent.receipt).state == "available"
        with pytest.raises(WrongPassword) as caught:
            client.read(sent.link, "wrong")
        assert client.receipt(sent.receipt).state == "read"
        assert decrypt(caught.value.envelope, Link.parse(sent.link, "msg").key, "right") == "hello"


def test_too_long_is_told_before_it_is_posted(service: Running, colour: Any) -> None:
    """The limit is that of what is posted, and is told for what was written."""
    with proxied(service.url) as proxy, colour(proxy.url) as client:
        assert client.read(client.send("é" * 22_527 + "x").link).text.startswith("é")
        assert proxy.seen() == ["GET", "POST", "GET"]
        with pytest.raises(TooLong, match="45056 bytes; this server accepts at most 45055, encrypted"):
            client.send("x" * 45_056)
        with pytest.raises(TooLong, match="at most 65536, unencrypted"):
            client.send("x" * 65_537, encrypt=False)
        assert proxy.seen() == ["GET", "POST", "GET", "GET", "GET"]


def test_refusals(service: Running, colour: Any) -> None:
    """What the service refuses is told in its words."""
    with colour(service.url) as client:
        with pytest.raises(RequestRejected, match="ttl must be"):
            client.send("x", ttl=10**7)
        with pytest.raises(RequestRejected, match="reads must be"):
            client.send("x", reads=1001)
        for wrong in ({"text": ""}, {"text": "x", "password": ""}, {"text": "x", "password": "x", "encrypt": False}):
            with pytest.raises(ValueError, match="empty"):
                client.send(**wrong)


def test_a_lost_answer_makes_no_second_message(tmp_path: Path, colour: Any) -> None:
    """A post whose answer is lost is repeated under the same key: one message is kept."""
    store = tmp_path / "messages.db"
    with (
        serving(tmp_path, f"sqlite://{store}", "--workers", "1") as service,
        proxied(service.url, "lose", "half", "drop", answer("502 Bad Gateway")) as proxy,
        colour(proxy.url, policy=EAGER) as client,
    ):
        client.send("hello")
        assert proxy.seen() == ["POST"] * 4
        keys = {line for request in proxy.requests for line in request.split(b"\r\n") if b"idempotency-key" in line}
        assert len(keys) == 1
        with contextlib.closing(sqlite3.connect(store)) as database:
            message_receipt_and_answer = 3
            assert database.execute("SELECT count(*) FROM records").fetchone() == (message_receipt_and_answer,)


@pytest.mark.parametrize("fault", ["lose", "half", answer("502 Bad Gateway"), answer("504 Gateway Timeout")])
@pytest.mark.parametrize(("reads", "left"), [(1, 0), (3, 2)])
def test_a_read_that_may_be_spent_is_not_repeated(
    service: Running, colour: Any, fault: Any, reads: int, left: int
) -> None:
    """When the connection breaks after a counted message was asked for, only the reads left are asked for."""
    with colour(service.url) as client, proxied(service.url, fault) as proxy:
        sent = client.send("hello", reads=reads)
        with pytest.raises(ReadInterrupted) as caught:
            client.read(proxy.through(sent.link))
        assert caught.value.reads_left == (reads if isinstance(fault, bytes) else left)
        assert proxy.seen() == ["GET", "HEAD"]


def test_a_read_has_a_connection_of_its_own(service: Running) -> None:
    """One that was kept may be closed by the server just then, and a read must not be lost to that."""
    with Client(service.url) as sender, Client() as reader:
        reader.read(sender.send("hello").link)
        connections = (sender._transport._pooled, reader._transport._pooled, reader._transport._single_use)
        pools = [http._transport._pool for http in connections]  # type: ignore[attr-defined]
        assert [len(pool.connections) for pool in pools] == [1, 0, 0]


def test_a_read_that_spends_nothing_is_repeated(service: Running, colour: Any) -> None:
    """A message with any number of reads is asked for until it comes whole."""
    with colour(service.url, policy=EAGER) as client, proxied(service.url, "lose", "pass", "half") as proxy:
        sent = client.send("hello")
        assert client.read(proxy.through(sent.link)).text == "hello"
        assert proxy.seen() == ["GET", "HEAD", "GET", "HEAD", "GET"]


def test_a_message_that_never_comes_whole(service: Running, colour: Any) -> None:
    """A path that breaks each answer is given up after a while, however much patience there is."""
    with (
        colour(service.url) as sender,
        proxied(service.url, *["half", "pass"] * 4) as proxy,
        colour(policy=RetryPolicy(max_attempts=1000)) as client,
    ):
        sent = sender.send("hello")
        with pytest.raises(ReadInterrupted, match="each time it was tried"):
            client.read(proxy.through(sent.link))
        assert proxy.seen() == ["GET", "HEAD"] * 4


def test_nobody_to_ask_after_a_break(service: Running, colour: Any) -> None:
    """When not even the number of reads can be asked for, nothing is claimed."""
    with (
        colour(service.url) as sender,
        colour(policy=RetryPolicy(max_attempts=1)) as client,
        proxied(service.url, "lose", "drop") as proxy,
    ):
        sent = sender.send("hello", reads=3)
        with pytest.raises(ReadInterrupted, match="not known") as caught:
            client.read(proxy.through(sent.link))
        assert caught.value.reads_left is None


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_busy_server_is_left_alone_as_long_as_it_asks(service: Running, colour: Any, status: str) -> None:
    """Retry-After is waited for, for reads as well: 429 and 503 say that nothing was done."""
    waits: list[float] = []
    busy = answer(status, retry_after="1")
    with (
        proxied(service.url, busy, "pass", busy) as proxy,
        colour(proxy.url, policy=EAGER, on_wait=lambda seconds, _why: waits.append(seconds)) as client,
    ):
        begin = time.monotonic()
        assert client.read(client.send("hello", reads=1).link).text == "hello"
        assert waits == [1.0, 1.0]
        assert time.monotonic() - begin >= 2.0
        assert proxy.seen() == ["POST", "POST", "GET", "GET"]


def test_too_long_a_wait_is_the_callers_to_decide(service: Running, colour: Any) -> None:
    """More than there is patience for is not waited for; the error says how long it would be."""
    with (
        proxied(service.url, answer("429 Too Many Requests", retry_after="3600")) as proxy,
        colour(proxy.url) as client,
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
def test_what_is_not_the_service(service: Running, colour: Any, fault: bytes, error: type[Exception]) -> None:
    """Other programs behind an address are told from ours, and none of them gets an exception of another kind."""
    with proxied(service.url, *[fault] * 3) as proxy, colour(proxy.url, policy=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(error):
            client.send("hello")
        with pytest.raises((error, UnexpectedResponse, ReadInterrupted)):
            client.read(f"{proxy.url}/msg/{'0' * 8}-0000-4000-8000-{'0' * 12}")


def test_nobody_there(colour: Any) -> None:
    """A refused connection is tried again; its error says why, and not where."""
    waits: list[float] = []
    port = free_port()
    policy = RetryPolicy(max_attempts=3, random=lambda: 0.01)
    with colour(f"http://127.0.0.1:{port}", policy=policy, on_wait=lambda s, _: waits.append(s)) as client:
        with pytest.raises(Unreachable, match=r"^Connection refused$"):
            client.send("hello")
        assert waits == [0.0025, 0.005]


def test_a_read_that_never_got_there(colour: Any) -> None:
    """With no connection nothing can be spent, and that is what is told."""
    link = f"http://127.0.0.1:{free_port()}/msg/{'0' * 8}-0000-4000-8000-{'0' * 12}"
    with colour(policy=RetryPolicy(max_attempts=1)) as client, pytest.raises(Unreachable, match="refused"):
        client.read(link)


def test_no_answer(colour: Any) -> None:
    """A server that takes the request and says nothing is given up after a while."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        policy = RetryPolicy(max_attempts=2)
        with colour(url, timeout=0.1, policy=policy) as client, pytest.raises(Unreachable, match="in time"):
            client.send("hello")


def test_an_answer_without_end(service: Running, colour: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than any message can be is not taken in."""
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 1000)
    with proxied(service.url, answer("200 OK", "x" * 1001)) as proxy, colour(proxy.url) as client:
        with pytest.raises(Unreachable, match="too large"):
            client.limits()
        assert proxy.seen() == ["GET"]


def test_a_token_goes_to_its_server_alone(service: Running, colour: Any) -> None:
    """With a post, and with nothing else."""
    with proxied(service.url) as proxy, colour(proxy.url, token="hush-hush") as client:
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


def test_nothing_secret_is_logged(service: Running, colour: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Not even with everything logged; what others do with httpx still is."""
    caplog.set_level(logging.DEBUG)
    with colour(service.url, token="hush-hush") as client:
        sent = client.send("the text", password="the password")
        client.read(sent.link, "the password")
        client.receipt(sent.receipt)
    secrets = ["the text", "the password", "hush-hush", *sent.link.split("/")[-1].split("#"), sent.receipt[-36:]]
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert [secret for secret in secrets if secret in logged] == []
    httpx.get(service.url)
    assert "HTTP Request: GET" in caplog.text


def test_a_server_is_needed_to_send(colour: Any) -> None:
    """And an address must be one."""
    with colour() as client, pytest.raises(ValueError, match="requires a server"):
        client.send("hello")
    with pytest.raises(BadLink):
        colour("localhost:5000")


def test_many_at_once(service: Running) -> None:
    """One AsyncClient serves many tasks: a message for three is read by three of twenty."""

    async def race() -> list[object]:
        async with AsyncClient(service.url) as client:
            sent = await client.send("hello", reads=3)
            return await asyncio.gather(*(client.read(sent.link) for _ in range(20)), return_exceptions=True)

    results = asyncio.run(race())
    assert sum(not isinstance(result, NoMessage) for result in results) == 3


def test_the_loop_goes_on(service: Running) -> None:
    """What takes the processor is not done on the loop's thread."""
    threads: set[int] = set()

    async def send() -> None:
        async with AsyncClient(service.url) as client:
            await client._run(_computing(threads))

    asyncio.run(send())
    assert threads.isdisjoint({threading.get_ident()})
    assert len(threads) == 1


def _computing(threads: set[int]) -> Flow[None]:
    yield RunInThread(lambda: threads.add(threading.get_ident()))
