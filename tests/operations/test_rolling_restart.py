"""Three nodes on a Redis Cluster, behind HAProxy with our configuration, while nodes stop and start."""

import contextlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.programs import require
from tests.support.redis_server import free_port
from tests.support.service import Running, answers, serving, wait_for
from tests.support.threads import ThreadedLoad

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
JSON = {"accept": "application/json"}
DRAIN = 3
CLIENTS = 6


class Node:
    """A service node that keeps its ports over a restart; `drain` is in seconds."""

    def __init__(self, folder: Path, store: str, drain: int) -> None:
        self.port, self.ops_port = free_port(), free_port()
        self._folder, self._store, self._drain = folder, store, drain
        self._running = ExitStack()
        self.service: Running

    @property
    def ready(self) -> str:
        """Return the URL of its readiness."""
        return f"http://127.0.0.1:{self.ops_port}/ready"

    def start(self) -> None:
        """Start and wait until it is ready."""
        ports = ("--port", str(self.port), "--ops-port", str(self.ops_port))
        options = ("--workers", "1", "--drain-seconds", str(self._drain))
        self.service = self._running.enter_context(serving(self._folder, self._store, *ports, *options))

    def stop(self) -> None:
        """Send SIGTERM, and wait until it has ended."""
        self._running.close()


@contextlib.contextmanager
def balanced(nodes: list[Node], log: Path) -> Iterator[str]:
    """Run HAProxy in front of these nodes; yield its address."""
    address = f"127.0.0.1:{free_port()}"
    environ = {"BIND": address}
    for n, node in enumerate(nodes, 1):
        environ |= {f"NODE{n}": f"127.0.0.1:{node.port}", f"NODE{n}_OPS": str(node.ops_port)}
    with log.open("w") as output:
        process = subprocess.Popen([require("haproxy"), "-f", str(CONFIG)], env=environ, stdout=output, stderr=output)
    try:
        wait_for(lambda: process.poll() is not None or answers(f"http://{address}/"))
        assert process.poll() is None, log.read_text()
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


class Load(ThreadedLoad):
    """A load that posts messages with one read and reads them twice, over persistent and new connections."""

    def __init__(self, url: str) -> None:
        super().__init__(self._run, [n % 2 == 0 for n in range(CLIENTS)])
        self._url = url
        self.outcomes: Counter[str] = Counter()

    def had(self, count: int) -> bool:
        """Return whether at least `count` requests have been answered."""
        return self.outcomes.total() >= count

    def _run(self, keep: bool) -> None:  # noqa: FBT001
        with httpx.Client(base_url=self._url, headers=JSON, timeout=20) as kept:
            while not self._enough.wait(0.01):
                if keep:
                    self._round(kept)
                else:
                    with httpx.Client(base_url=self._url, headers=JSON, timeout=20) as fresh:
                        self._round(fresh)

    def _round(self, client: httpx.Client) -> None:
        try:
            posted = client.post("/", json={"message": "for one", "reads": 1})
            self.outcomes[f"create {posted.status_code}"] += 1
            address = f"/msg/{posted.json()['message_id']}"
            for which in ("first", "second"):
                self.outcomes[f"{which} read {client.get(address).status_code}"] += 1
        except (httpx.TransportError, KeyError, ValueError) as error:
            self.outcomes[type(error).__name__] += 1


@pytest.fixture
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Node]]:
    """Run three nodes on one Redis Cluster; the parameter is their drain time in seconds."""
    url = request.getfixturevalue("cluster").url
    with ExitStack() as running:
        made = [Node(tmp_path / f"node{n}", url, getattr(request, "param", 0)) for n in range(3)]
        for node in made:
            running.callback(node.stop)
            node.start()
        yield made
        for node in made:  # all at once; being told again to stop, each ends without delay
            node.service.process.terminate()


@pytest.mark.parametrize("nodes", [DRAIN], indirect=True)
def test_rolling_restart_fails_no_request(nodes: list[Node], tmp_path: Path) -> None:
    """Each node restarted in turn under a steady load: every create and first read is 200, every second read 404.

    Nor did the balancer have to ask twice: a node that drains is out before its sockets close.
    """
    log = tmp_path / "haproxy.log"
    with balanced(nodes, log) as url, Load(url) as load:
        for node in nodes:
            wait_for(lambda: all(answers(each.ready) for each in nodes))
            count = load.outcomes.total() + 101
            node.stop()
            node.start()
            wait_for(partial(load.had, count))
    assert set(load.outcomes) == {"create 200", "first read 200", "second read 404"}
    assert len(set(load.outcomes.values())) == 1
    attempts = Counter(re.findall(r'"retries":"([^"]*)"', log.read_text()))
    assert attempts.keys() == {"0"}
    assert attempts["0"] >= load.outcomes.total()
    print(f"rolling restart of 3 nodes: {load.outcomes.total()} requests, 0 failed")  # noqa: T201


def test_balancer_logs_no_id(nodes: list[Node], tmp_path: Path) -> None:
    """HAProxy's own log has client, method and node, and no id or path."""
    log = tmp_path / "haproxy.log"
    with balanced(nodes, log) as url:
        message_id = httpx.post(url, json={"message": "x"}).json()["message_id"]
        assert httpx.get(f"{url}/msg/{message_id}", headers=JSON).status_code == 200
        assert httpx.get(f"{url}/msg/{message_id}?a=b", headers={"x": "y" * 40_000}).status_code >= 400
        wait_for(lambda: '"status":200' in log.read_text())
    assert '"method":"GET"' in log.read_text()
    assert message_id not in log.read_text()
    assert "a=b" not in log.read_text()


def test_no_ready_node_gives_503(nodes: list[Node], tmp_path: Path) -> None:
    """Without nodes the balancer returns a problem with Retry-After."""
    with balanced(nodes, tmp_path / "haproxy.log") as url:
        for node in nodes:
            node.stop()
        answer = httpx.get(url)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["status"] == 503
