"""Responses and metrics while the store is unreachable, hung or full, and afterwards."""

import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.support.disks import small_disk
from tests.support.redis_server import RedisServer, redis_running
from tests.support.service import Running, answers, serving, wait_for

JSON = {"accept": "application/json"}
ASKS = (("POST", "/"), ("GET", "/msg/x"), ("GET", "/receipt/x"), ("DELETE", "/receipt/x"))


def unavailable_in_time(service: Running, *statuses: int) -> None:
    """Check that every operation gets its status within 2 s, and that the service is live but not ready."""
    for (method, address), status in zip(ASKS, statuses, strict=True):
        begin = time.monotonic()
        response = httpx.request(
            method,
            service.url + address,
            headers=JSON,
            timeout=10,
            json={"message": "x"} if address == "/" else None,
        )
        assert time.monotonic() - begin < 2
        assert response.status_code == status
        assert ("retry-after" in response.headers) == (status == 503)
        assert response.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{service.ops_url}/ready", timeout=10).status_code == 503
    assert httpx.get(f"{service.ops_url}/live").status_code == 200
    assert httpx.get(service.url).status_code == 200


@pytest.mark.alone
@pytest.mark.parametrize(("fault", "first"), [(signal.SIGKILL, 503), (signal.SIGSTOP, 504)])
def test_stopped_or_hung_redis_gives_503_until_it_returns(tmp_path: Path, fault: signal.Signals, first: int) -> None:
    """The response is 503 while Redis is dead or hung, 504 to a post that was sent to it before that was noticed.

    Messages are back with Redis, without a restart of the service.
    """
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_running(tmp_path, *options) as redis, serving(tmp_path, redis.url, "--workers", "1") as service:
        link = httpx.post(service.url, json={"message": "x"}).headers["location"]
        assert redis.process is not None
        redis.process.send_signal(fault)
        unavailable_in_time(service, first, 503, 503, 503)
        back(redis, fault)
        wait_for(lambda: answers(f"{service.ops_url}/ready"))
        assert httpx.get(link).json()["message"] == "x"
        text = httpx.get(f"{service.ops_url}/metrics").text
        unknown = int(first == 504)
        assert f'messaging_store_failures_total{{reason="unavailable"}} {4 - unknown}.0' in text
        assert f'messaging_store_failures_total{{reason="unknown"}} {unknown}.0' in text


def back(redis: RedisServer, fault: signal.Signals) -> None:
    """Undo the fault."""
    assert redis.process is not None
    if fault == signal.SIGSTOP:
        redis.process.send_signal(signal.SIGCONT)
    else:
        redis.process.wait()
        redis.start()


def test_service_starts_before_redis(tmp_path: Path) -> None:
    """The service starts without Redis, is not ready, and becomes ready once Redis runs."""
    with redis_running(tmp_path) as redis:
        redis.kill()
        with serving(tmp_path, redis.url, ready=False) as service:
            wait_for(lambda: answers(f"{service.ops_url}/live"))
            assert httpx.get(f"{service.ops_url}/ready").status_code == 503
            redis.start()
            wait_for(lambda: answers(f"{service.ops_url}/ready"))


def test_full_redis_gives_507(tmp_path: Path) -> None:
    """A create gets 507 when Redis is full; existing messages can be read and burned."""
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with redis_running(tmp_path, *options) as redis, serving(tmp_path, redis.url) as service:
        fills_up(service)


def test_full_sqlite_gives_507(tmp_path: Path) -> None:
    """A create gets 507 when the database has reached its size; existing messages can be read and burned."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db?max_bytes=1000000") as service:
        fills_up(service)


def fills_up(service: Running) -> None:
    """Post until the store is full of small messages, and read or burn all of them."""
    with httpx.Client(base_url=service.url, headers=JSON, timeout=30) as client:
        posted = []
        while (answer := client.post("/", json={"message": "x" * 60, "reads": 1})).status_code == 200:
            posted.append(answer.json())
        assert answer.status_code == 507
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(posted) > 500
        assert {client.get(f"/msg/{one['message_id']}").status_code for one in posted[::2]} == {200}
        assert {client.delete(one["receipt"]).json()["state"] for one in posted[1::2]} == {"burned"}
        assert client.get(posted[0]["receipt"]).json()["state"] == "read"


def test_full_log_disk_does_not_stop_the_service(tmp_path: Path) -> None:
    """A full disk under the log folder is reported on the console and by a metric."""
    with (
        small_disk(tmp_path, "16k") as disk,
        serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "1", "--log-dir", str(disk)) as service,
    ):
        for _ in range(200):
            assert httpx.get(service.url).status_code == 200
        assert "log_file_failed" in service.console.read_text()
        assert "messaging_log_failures_total 0.0" not in httpx.get(f"{service.ops_url}/metrics").text
