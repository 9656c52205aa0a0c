"""The service stopped and killed under load: acknowledged messages are kept, and requests in flight are finished."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.redis_server import redis_running
from tests.support.service import Running, serving, wait_for
from tests.support.threads import ThreadedLoad

JSON = {"accept": "application/json"}
THREADS = 8


class Load(ThreadedLoad):
    """A load that posts messages from several threads until stopped, and keeps the acknowledged ones."""

    def __init__(self, url: str) -> None:
        super().__init__(self._post, range(THREADS))
        self._url = url
        self.acknowledged: list[tuple[str, str]] = []
        self.broken: list[str] = []

    def _post(self, n: int) -> None:
        count = 0
        while not self._enough.is_set():
            text = f"message {n}/{count}"
            count += 1
            try:
                with httpx.Client(timeout=10) as client:
                    posted = client.post(self._url, json={"message": text, "reads": 1}).raise_for_status().json()
                    self.acknowledged.append((text, posted["message_id"]))
                    client.get(f"{self._url}/openapi.json")
            except httpx.ConnectError:
                return  # nobody listens any more: the service has ended
            except httpx.TransportError as error:
                self.broken.append(type(error).__name__)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], None] | str]:
    """Yield the address of a store that outlives the service; a Redis writes every command to disk first."""
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/messages.db"
    else:
        with redis_running(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
            yield server.url


@contextmanager
def under_load(folder: Path, store: str) -> Iterator[tuple[Running, Load]]:
    """Run a service of two workers that has acknowledged its first 50 messages under load."""
    with serving(folder, store, "--workers", "2") as service, Load(service.url) as load:
        wait_for(lambda: len(load.acknowledged) >= 50)
        yield service, load


def all_there(folder: Path, store: str, acknowledged: list[tuple[str, str]]) -> None:
    """Check that a new service on the same store returns every message, once."""
    with serving(folder / "again", store) as service, httpx.Client(base_url=service.url, headers=JSON) as client:
        for text, message_id in acknowledged:
            assert client.get(f"/msg/{message_id}").json()["message"] == text
            assert client.get(f"/msg/{message_id}").status_code == 404


def test_sigterm_under_load_finishes_requests_in_flight(tmp_path: Path, store: str) -> None:
    """On SIGTERM under load no request is cut off, no acknowledged message is lost, and the exit code is 0."""
    with under_load(tmp_path, store) as (service, load):
        code = service.stop(signal.SIGTERM)
    assert code == 0
    assert load.broken == []
    all_there(tmp_path, store, load.acknowledged)


def test_kill_9_of_all_processes_loses_no_message(tmp_path: Path, store: str) -> None:
    """After kill -9 of all processes at once, and of Redis if there is one, every acknowledged message is there."""
    with under_load(tmp_path, store) as (service, load):
        workers = service.workers()
        for pid in (service.process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        service.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    all_there(tmp_path, store, load.acknowledged)


def test_killed_worker_is_restarted(tmp_path: Path, store: str) -> None:
    """A killed worker is started again; the service goes on and loses nothing."""
    with under_load(tmp_path, store) as (service, load):
        before = service.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(set(service.workers()) - set(before)) == 1 and len(service.workers()) == len(before))
        reached = len(load.acknowledged)
        wait_for(lambda: len(load.acknowledged) >= reached + 50)
        assert httpx.get(f"{service.ops_url}/ready").status_code == 200
    all_there(tmp_path, store, load.acknowledged)


def test_workers_stop_when_their_parent_is_killed(tmp_path: Path) -> None:
    """When the parent is killed, its workers stop by themselves and free the port."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        workers = service.workers()
        assert len(workers) >= 2
        service.stop(signal.SIGKILL)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_simultaneous_readers_across_workers_get_exactly_n_reads(tmp_path: Path, store: str) -> None:
    """Over HTTP and four workers, of 64 simultaneous readers exactly N get a message with N reads."""
    with serving(tmp_path, store, "--workers", "4") as service:
        for reads in (1, 2, 7):
            message_id = httpx.post(service.url, json={"message": "x", "reads": reads}).json()["message_id"]
            gate = threading.Barrier(64)
            codes: list[int] = []

            def read(url: str, gate: threading.Barrier = gate, codes: list[int] = codes) -> None:
                with httpx.Client(headers=JSON, timeout=30) as client:
                    gate.wait()
                    codes.append(client.get(url).status_code)

            url = f"{service.url}/msg/{message_id}"
            readers = [threading.Thread(target=read, args=(url,)) for _ in range(64)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            assert sorted(codes) == [200] * reads + [404] * (64 - reads)
