"""The metrics of a service that served real requests."""

import os
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from messaging_api import __version__
from tests.support.redis_server import redis_running
from tests.support.service import Running, ask_at_once, serving, wait_for

JSON = {"accept": "application/json"}


def samples(service: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample by its name and labels."""
    families = text_string_to_metric_families(httpx.get(f"{service.ops_url}/metrics").text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(service: Running, name: str, **labels: str) -> float:
    """Return the value of one sample."""
    return samples(service)[name, frozenset(labels.items())]


def test_requests_of_one_turn_share_a_round_trip(tmp_path: Path) -> None:
    """20 requests that wait when a process wakes up need fewer round trips to the store, and all are counted."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, "--workers", "1") as service:
        before, trips_before, _ = batches(service)
        answers = ask_at_once(service, [b"GET /msg/x HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n"] * 20)
        assert all(answer.startswith(b"HTTP/1.1 404") for answer in answers)
        after, trips, alone = batches(service)
    assert 20 <= after - before <= 23  # with those of two scrapes
    assert trips - trips_before < after - before
    assert alone < trips


def batches(service: Running) -> tuple[float, float, float]:
    """Return the operations so far, the round trips, and the round trips with one operation."""
    told = samples(service)
    trips = told["messaging_store_batch_size_count", frozenset()]
    assert trips == told["messaging_store_batch_size_bucket", frozenset({("le", "+Inf")})]
    alone = told["messaging_store_batch_size_bucket", frozenset({("le", "1")})]
    return told["messaging_store_batch_size_sum", frozenset()], trips, alone


def test_store_usage_rises_with_stored_messages(tmp_path: Path) -> None:
    """The share is of maxmemory with Redis and of max_bytes with SQLite."""
    with redis_running(tmp_path, "--maxmemory", "20mb") as redis, serving(tmp_path / "r", redis.url) as service:
        rises(service)
        used = value(service, "messaging_store_used_bytes")
        assert value(service, "messaging_store_full_ratio") == pytest.approx(used / (20 * 2**20), rel=0.05)
        assert value(service, "messaging_store_evicted_total") == 0
        assert value(service, "messaging_store_records") == 100
    with serving(tmp_path / "s", f"sqlite://{tmp_path}/m.db?max_bytes=20000000") as service:
        rises(service)
        used = value(service, "messaging_store_used_bytes")
        creatable = 18e6  # a tenth of the size is kept for reading
        assert value(service, "messaging_store_full_ratio") == pytest.approx(used / creatable, rel=0.05)
        assert value(service, "messaging_store_records") == 100


def rises(service: Running) -> None:
    """Check that 50 messages of 20 kB fill the store by about another megabyte."""
    empty = value(service, "messaging_store_used_bytes")
    with httpx.Client(base_url=service.url) as client:
        for _ in range(50):
            client.post("/", json={"message": "x" * 20_000}).raise_for_status()
    assert value(service, "messaging_store_used_bytes") - empty > 900_000


def test_unreachable_store_is_reported(tmp_path: Path) -> None:
    """The scrape works, says that the store is down, and omits the stats that are unknown."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url) as service:
        assert value(service, "messaging_store_up") == 1
        assert value(service, "messaging_store_ping_seconds") > 0
        redis.kill()
        told = samples(service)
    assert told["messaging_store_up", frozenset()] == 0
    assert not [name for name, _ in told if name.startswith("messaging_store_full")]


def test_each_worker_has_metrics(tmp_path: Path) -> None:
    """Each worker reports that it is up, its connections, memory and CPU; a death is counted."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "2") as service, httpx.Client() as client:
        client.get(service.url)
        wait_for(lambda: sum(value(service, "messaging_worker_connections", worker=worker) for worker in "01") == 1)
        for worker in "01":
            assert value(service, "messaging_worker_up", worker=worker) == 1
            assert value(service, "messaging_worker_resident_bytes", worker=worker) > 10e6
            assert value(service, "messaging_worker_cpu_seconds_total", worker=worker) > 0
            assert 0 <= value(service, "messaging_worker_loop_lag_seconds", worker=worker) < 60
        assert value(service, "messaging_process_restarts_total") == 0
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_for(lambda: value(service, "messaging_process_restarts_total") == 1)
        told = samples(service)
    build = next(dict(labels) for name, labels in told if name == "messaging_build_info")
    assert (build["version"], build["store"]) == (__version__, "sqlite")


def test_sqlite_counts_unread_expired_messages(tmp_path: Path) -> None:
    """Expired messages with limited reads and no read count; unlimited, partly read, read and burned ones do not."""
    url = f"sqlite://{tmp_path}/m.db"
    with (
        serving(tmp_path, url, "--workers", "2") as service,
        httpx.Client(base_url=service.url, headers=JSON) as client,
    ):
        for _ in range(3):
            client.post("/", json={"message": "x", "reads": 2, "ttl": 1})
        client.post("/", json={"message": "x", "ttl": 1})
        client.get(f"/msg/{client.post('/', json={'message': 'x', 'reads': 2, 'ttl': 1}).json()['message_id']}")
        client.get(f"/msg/{client.post('/', json={'message': 'x', 'reads': 1, 'ttl': 1}).json()['message_id']}")
        client.delete(client.post("/", json={"message": "x", "reads": 1, "ttl": 1}).json()["receipt"])
        wait_for(lambda: value(service, "messaging_store_records") == 7 + 2)  # receipts and two traces
        assert value(service, "messaging_messages_total", event="expired_unread") == 3


def events(service: Running) -> dict[str, float]:
    """Return how often each event in the life of messages was counted."""
    names = ("created", "read", "burned", "expired_unread")
    return {event: value(service, "messaging_messages_total", event=event) for event in names}


def test_events_of_messages_are_counted_once(tmp_path: Path, store_url: str) -> None:
    """A repeated post or DELETE, and a DELETE of a message that was read, burned or expired, count nothing."""
    with (
        serving(tmp_path, store_url, "--workers", "2") as service,
        httpx.Client(base_url=service.url, headers=JSON) as client,
    ):

        def post(**fields: Any) -> Any:
            return client.post("/", json={"message": "x", **fields}).raise_for_status().json()

        def counted() -> tuple[float, ...]:
            return tuple(events(service).values())[:3]

        key = {"idempotency-key": str(uuid.uuid4())}
        posted = [client.post("/", json={"message": "x", "reads": 1}, headers=key).json() for _ in range(3)]
        assert len({answer["message_id"] for answer in posted}) == 1
        assert client.post("/", json={"message": "y"}, headers=key).status_code == 422
        assert counted() == (1, 0, 0)
        assert client.head(posted[0]["url"]).status_code == 200
        assert client.get(posted[0]["url"], headers={"accept": "*/*"}).status_code == 428
        assert [client.get(posted[0]["url"]).status_code for _ in range(2)] == [200, 404]
        assert counted() == (1, 1, 0)
        assert [client.delete(posted[0]["receipt"]).json()["state"] for _ in range(2)] == ["read"] * 2
        assert counted() == (1, 1, 0)
        burned, expired = post()["receipt"], post(ttl=1)["receipt"]
        assert [client.delete(burned).json()["state"] for _ in range(3)] == ["burned"] * 3
        wait_for(lambda: client.get(expired).json()["state"] == "expired")
        assert [client.delete(expired).json()["state"] for _ in range(2)] == ["expired"] * 2
        assert counted() == (3, 1, 1)


def test_simultaneous_events_are_counted_once(tmp_path: Path, store_url: str) -> None:
    """Of simultaneous posts with one key, and of simultaneous DELETEs of one message, one is counted."""
    rounds, at_once = 5, 16
    with serving(tmp_path, store_url, "--workers", "2") as service:

        def send(method: str, url: str, headers: dict[str, str]) -> httpx.Response:
            return httpx.request(method, url, headers=headers, json={"message": "x"} if method == "POST" else None)

        with ThreadPoolExecutor(at_once) as senders:
            for _ in range(rounds):
                key = {"idempotency-key": str(uuid.uuid4())}
                posts = [senders.submit(send, "POST", service.url, key) for _ in range(at_once)]
                (receipt,) = {post.result().json()["receipt"] for post in posts}
                burns = [senders.submit(send, "DELETE", receipt, JSON) for _ in range(at_once)]
                assert {burn.result().json()["state"] for burn in burns} == {"burned"}
        assert events(service) == {"created": rounds, "read": 0, "burned": rounds, "expired_unread": 0}


def test_redis_counts_expired_records(tmp_path: Path) -> None:
    """It counts records of all kinds, because Redis does not say which expired."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url) as service:
        for _ in range(3):
            httpx.post(service.url, json={"message": "x", "ttl": 1})
        wait_for(lambda: value(service, "messaging_store_expired_total") == 3)
        assert value(service, "messaging_store_records") == 3
