"""Each alert fires for a service that really has the fault, and no other alert does."""

import contextlib
import os
import resource
import signal
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.redis_server import RedisServer, redis_running
from tests.support.scrapes import firing, scrape, value
from tests.support.service import Running, serving, wait_for

JSON = {"accept": "application/json"}


def traffic(service: Running, _redis: RedisServer) -> None:
    """Send requests of every kind, including wrong guesses and mistakes."""
    with httpx.Client(base_url=service.url, headers=JSON, timeout=20) as client:
        for _ in range(20):
            posted = client.post("/", json={"message": "x", "reads": 1})
            if posted.status_code == 200:
                client.get(f"/msg/{posted.json()['message_id']}")
                client.delete(posted.json()["receipt"])
            client.get("/msg/x")
            client.post("/", json={"massage": "x"})


def store_away(service: Running, redis: RedisServer) -> None:
    """Kill Redis with SIGKILL, and keep sending requests."""
    redis.kill()
    traffic(service, redis)


def slow_store(service: Running, redis: RedisServer) -> None:
    """Suspend the Redis process for a while, during a read."""
    link = urlsplit(httpx.post(service.url, json={"message": "x"}).headers["location"])
    for _ in range(3):
        with socket.create_connection((link.hostname, link.port)) as reader:
            with redis.suspended():
                reader.sendall(f"GET {link.path} HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n".encode())
                time.sleep(0.8)  # the fault itself
            assert reader.recv(4096).startswith(b"HTTP/1.1 200")


def nearly_full_store(service: Running, _redis: RedisServer) -> None:
    """Post messages up to 82 % of Redis' memory limit."""
    while value(scrape(service.ops_url), "messaging_store_full_ratio") < 0.82:
        post(service, 5)


def full_store(service: Running, _redis: RedisServer) -> None:
    """Post many more messages than fit."""
    assert post(service, 200)[-1] == 507


def post(service: Running, times: int) -> list[int]:
    """Post long messages; return their statuses."""
    with httpx.Client(base_url=service.url, timeout=20) as client:
        return [client.post("/", json={"message": "x" * 60_000}).status_code for _ in range(times)]


def evicting_store(service: Running, _redis: RedisServer) -> None:
    """Post more messages than fit, to a Redis that is configured to evict."""
    assert set(post(service, 200)) == {200}


def stuck_worker(service: Running, _redis: RedisServer) -> None:
    """Suspend the process that serves."""
    os.kill(worker(service), signal.SIGSTOP)
    wait_for(lambda: httpx.get(f"{service.ops_url}/live").status_code == 503)


def late_loop(service: Running, _redis: RedisServer) -> None:
    """Block the event loop of the process that serves for a while."""
    os.kill(worker(service), signal.SIGSTOP)
    time.sleep(2.5)  # the fault itself
    os.kill(worker(service), signal.SIGCONT)
    wait_for(lambda: value(scrape(service.ops_url), "messaging_worker_loop_lag_seconds", worker="0") > 0.2)


def restarted(service: Running, times: int) -> bool:
    """Return whether processes were started again so many times."""
    return value(scrape(service.ops_url), "messaging_process_restarts_total") == times


def dying_worker(service: Running, _redis: RedisServer) -> None:
    """Kill the process that serves with SIGKILL, again and again."""
    for deaths in range(1, 5):
        os.kill(worker(service), signal.SIGKILL)
        wait_for(partial(restarted, service, deaths))
        wait_for(lambda: len(service.workers()) == 2)


def worker(service: Running) -> int:
    """Return the one process that serves: the child with the service's port and without the ops port."""

    def serving() -> list[int]:
        return [pid for pid in service.workers() if holds(pid, service.url)]

    wait_for(serving)
    (found,) = serving()
    return found


def holds(pid: int, url: str) -> bool:
    """Return whether a process listens at the address of `url`."""
    inodes = set()
    with contextlib.suppress(FileNotFoundError):  # it has ended
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                inodes.add(str(descriptor.readlink()))
    port = f":{int(url.rsplit(':', 1)[1]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(f"socket:[{line[9]}]" in inodes for line in lines if line[1].endswith(port) and line[3] == "0A")


def guessing(service: Running, _redis: RedisServer) -> None:
    """Request messages that do not exist."""
    with httpx.Client(base_url=service.url, headers=JSON) as client:
        for _ in range(300):
            client.get(f"/msg/{uuid.uuid4()}")


def stopped(service: Running, _redis: RedisServer) -> None:
    """Stop the service."""
    service.stop()


SMALL = ("--maxmemory", "8mb")
EVICTING = (*SMALL, "--maxmemory-policy", "allkeys-lru")
CASES: list[tuple[Callable[[Running, RedisServer], None], tuple[str, ...], set[str]]] = [
    (traffic, (), set()),
    (store_away, (), {"MessagingStoreDown", "MessagingErrors"}),
    (slow_store, (), {"MessagingSlow"}),
    (nearly_full_store, SMALL, {"MessagingStoreFilling"}),
    (full_store, SMALL, {"MessagingStoreFilling", "MessagingStoreFull", "MessagingErrors"}),
    (evicting_store, EVICTING, {"MessagingStoreEvicts", "MessagingStoreFilling", "MessagingStoreFull"}),
    (stuck_worker, (), {"MessagingWorkerStuck"}),
    (late_loop, (), {"MessagingLoopLate"}),
    (dying_worker, (), {"MessagingRestarts"}),
    (guessing, (), {"MessagingGuessing"}),
    (stopped, (), {"MessagingDown"}),
]


@pytest.mark.parametrize(("fault", "options", "alerts"), CASES, ids=[case[0].__name__ for case in CASES])
def test_fault_fires_its_alerts_only(
    tmp_path: Path, fault: Callable[[Running, RedisServer], None], options: tuple[str, ...], alerts: set[str]
) -> None:
    """A real fault fires these alerts; the calm before it fires none."""
    with redis_running(tmp_path, *options) as redis, serving(tmp_path, redis.url, "--workers", "1") as service:
        traffic(service, redis)
        calm = scrape(service.ops_url)
        try:
            fault(service, redis)
            assert firing(calm, scrape(service.ops_url), tmp_path) == alerts
        finally:
            if service.process.poll() is None:
                os.kill(worker(service), signal.SIGCONT)


def test_unwritable_log_fires_its_alert(tmp_path: Path) -> None:
    """A process that may not write files any more reports lost log lines; its console is no file."""
    with (
        Path("/dev/null").open("w") as console,
        redis_running(tmp_path) as redis,
        serving(tmp_path, redis.url, "--workers", "1", stderr=console.fileno()) as service,
    ):
        calm = scrape(service.ops_url)
        resource.prlimit(worker(service), resource.RLIMIT_FSIZE, (1, 1))
        traffic(service, redis)
        assert firing(calm, scrape(service.ops_url), tmp_path) == {"MessagingLogLost"}


def test_stalled_console_fires_its_alert(tmp_path: Path) -> None:
    """A console that nobody reads, and a service that goes on."""
    reader, writer = os.pipe()
    with (
        redis_running(tmp_path) as redis,
        serving(tmp_path, redis.url, "--workers", "1", stderr=writer) as service,
    ):
        calm = scrape(service.ops_url)
        with httpx.Client() as client:
            for _ in range(1000):
                client.get(service.url)
        assert firing(calm, scrape(service.ops_url), tmp_path) == {"MessagingConsoleStalled"}
    os.close(reader)
    os.close(writer)


def test_busy_workers_fire_their_alert(tmp_path: Path) -> None:
    """The work of a run is scaled to the CPU time that it took, since its wall time varies."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, "--workers", "1") as service:
        calm = scrape(service.ops_url)
        start = value(calm, "messaging_worker_cpu_seconds_total", worker="0")
        while spent(service) <= start + 0.2:
            traffic(service, redis)
        busy = scrape(service.ops_url)
        worked = value(busy, "messaging_worker_cpu_seconds_total", worker="0") - start
        assert firing(calm, replace(busy, at=calm.at + worked / 0.9), tmp_path) == {"MessagingBusy"}


def spent(service: Running) -> float:
    """Return the seconds of CPU that the worker has used."""
    return value(scrape(service.ops_url), "messaging_worker_cpu_seconds_total", worker="0")
