"""Idempotency-Key on POST /: a repeat gets the first response, whatever has changed, and only its own client's."""

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.redis_server import redis_running
from tests.support.service import serving, wait_for

LINKS = ("--public-url", "https://msg.example")
"""So that the responses of two services are the same."""
LONG = "x" * 60_000


def key() -> dict[str, str]:
    """Return the header with a new key."""
    return {"idempotency-key": str(uuid.uuid4())}


def _in_parts(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), 7000):
        yield text[start : start + 7000].encode()


FORMATS: dict[str, Callable[[str], dict[str, Any]]] = {
    "json": lambda text: {"json": {"message": text, "ttl": 500}},
    "form": lambda text: {"data": {"message": text, "ttl": "500"}},
    "multipart": lambda text: {"files": {"message": (None, text), "ttl": (None, "500")}},
    "text": lambda text: {"content": text, "params": {"ttl": 500}, "headers": {"content-type": "text/plain"}},
    "chunked": lambda t: {"content": _in_parts(t), "params": {"ttl": 500}, "headers": {"content-type": "text/plain"}},
}
"""How to send a message, as arguments of httpx."""


def send(url: str, key: dict[str, str], **request: Any) -> httpx.Response:
    """Send POST / with a key."""
    return httpx.post(url, **{**request, "headers": {**request.get("headers", {}), **key}})


@pytest.mark.parametrize("text", ["x", LONG], ids=["short", "long"])
def test_repeat_gets_the_first_response_after_limits_were_lowered(tmp_path: Path, store_url: str, text: str) -> None:
    """A restart with a lower --max-ttl and --max-message-bytes changes no repeat; new messages are rejected."""
    keys = {name: key() for name in FORMATS}
    with serving(tmp_path, store_url, *LINKS) as service:
        first = {name: send(service.url, keys[name], **request(text)) for name, request in FORMATS.items()}
        assert {answer.status_code for answer in first.values()} == {200}
    lowered = ("--max-ttl", "60", "--default-ttl", "60", "--max-message-bytes", "1000")
    with serving(tmp_path, store_url, *LINKS, *lowered) as service:
        for name, request in FORMATS.items():
            repeated = send(service.url, keys[name], **request(text))
            assert (name, repeated.status_code) == (name, 200)
            assert repeated.content == first[name].content
            for headers in (key(), {}):
                rejected = 400 if len(text) <= 1000 else 413
                assert send(service.url, headers, **request(text)).status_code == rejected
            assert send(service.url, keys[name], **request("y" * len(text))).status_code == 422
            assert send(service.url, keys[name], **request("y" * 500_000)).status_code == 413


def test_repeat_gets_the_first_response_after_the_message_expired(tmp_path: Path, store_url: str) -> None:
    """An `expires_at` that has passed since the first request does not make the repeat invalid."""
    with serving(tmp_path, store_url) as service:
        expires_at = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        body, mine = {"message": "x", "expires_at": expires_at}, key()
        first = send(service.url, mine, json=body).raise_for_status()
        wait_for(lambda: send(service.url, {}, json=body).status_code == 400)
        assert send(service.url, mine, json=body).content == first.content
        wait_for(lambda: httpx.get(first.json()["receipt"]).json()["state"] == "expired")
        assert send(service.url, mine, json=body).content == first.content
        assert send(service.url, mine, json={**body, "message": "y"}).status_code == 422


def test_repeat_gets_the_first_response_from_a_full_redis(tmp_path: Path) -> None:
    """A Redis that has no room for another message still tells that this one was stored."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url) as service:
        mine = key()
        first = send(service.url, mine, json={"message": "x"}).raise_for_status()
        redis.client().config_set("maxmemory", 1)
        assert send(service.url, key(), json={"message": "x"}).status_code == 507
        assert send(service.url, mine, json={"message": "x"}).content == first.content
        assert send(service.url, mine, json={"message": "y"}).status_code == 422


def test_same_key_of_two_clients_is_two_keys(tmp_path: Path, store_url: str) -> None:
    """A client is an IPv4 address or a /64: others neither get its response nor learn that it used the key."""
    with serving(tmp_path, store_url, "--trusted-proxies", "127.0.0.1") as service:

        def message_of(client: str, text: str = "x") -> str:
            answer = send(service.url, {**mine, "x-forwarded-for": client}, json={"message": text})
            found: str = answer.raise_for_status().json()["message_id"]
            return found

        mine = key()
        one = message_of("192.0.2.1")
        assert message_of("192.0.2.1") == one
        assert message_of("192.0.2.2", "another") != one
        six = message_of("2001:db8::1")
        assert six != one
        assert message_of("2001:db8::2") == six
        assert message_of("2001:db8:0:1::1") != six


def test_same_key_with_two_tokens_is_two_keys(tmp_path: Path, store_url: str) -> None:
    """With tokens, a client is a token, from whatever address it comes."""
    tokens = {name: uuid.uuid4().hex for name in ("one", "two")}
    hashes = ",".join(hashlib.sha256(token.encode()).hexdigest() for token in tokens.values())
    with serving(tmp_path, store_url, "--create-tokens", hashes, "--trusted-proxies", "127.0.0.1") as service:

        def message_of(name: str, client: str) -> str:
            headers = {**mine, "authorization": f"Bearer {tokens[name]}", "x-forwarded-for": client}
            found: str = send(service.url, headers, json={"message": "x"}).raise_for_status().json()["message_id"]
            return found

        mine = key()
        one = message_of("one", "192.0.2.1")
        assert message_of("one", "192.0.2.2") == one
        assert message_of("two", "192.0.2.1") != one


def test_simultaneous_requests_with_one_key_create_one_message(tmp_path: Path, store_url: str) -> None:
    """Of 30 equal and 10 other requests at once over two workers, either kind wins; the others get 422, none 409."""
    with serving(tmp_path, store_url, "--workers", "2") as service, ThreadPoolExecutor(40) as senders:
        for _ in range(3):
            mine = key()
            texts = ["other" if n % 4 == 3 else "equal" for n in range(40)]
            answers = list(senders.map(lambda text: send(service.url, mine, json={"message": text}), texts))  # noqa: B023
            created = {text for text, answer in zip(texts, answers, strict=True) if answer.status_code == 200}
            assert len(created) == 1
            winners = texts.count(created.pop())
            assert Counter(answer.status_code for answer in answers) == {200: winners, 422: 40 - winners}
            assert len({answer.content for answer in answers if answer.status_code == 200}) == 1


@pytest.mark.parametrize("short", ["", "x", "order-77", "k" * 21])
def test_short_keys_are_rejected_with_advice(tmp_path: Path, short: str) -> None:
    """A key with fewer than 22 characters gets 400, which says what to send; nothing is stored."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        answer = send(service.url, {"idempotency-key": short}, json={"message": "x"})
        assert answer.status_code == 400
        assert "UUID" in answer.json()["detail"]
        assert send(service.url, {"idempotency-key": "k" * 22}, json={"message": "x"}).status_code == 200
