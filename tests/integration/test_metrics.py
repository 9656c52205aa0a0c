"""The metrics of a service that served real requests."""

import os
import signal
from pathlib import Path

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
        answers = ask_at_once(service, b"GET /msg/x HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n", 20)
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
        assert value(service, "messaging_store_full_ratio") == pytest.approx(used / 20e6, rel=0.05)
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


def test_redis_counts_expired_records(tmp_path: Path) -> None:
    """It counts records of all kinds, because Redis does not say which expired."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url) as service:
        for _ in range(3):
            httpx.post(service.url, json={"message": "x", "ttl": 1})
        wait_for(lambda: value(service, "messaging_store_expired_total") == 3)
        assert value(service, "messaging_store_records") == 3
