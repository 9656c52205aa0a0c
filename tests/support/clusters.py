"""A real Redis Cluster and a real Sentinel trio on loopback: started, broken and repaired by the tests.

Ports are below those of outgoing connections: a restarted server finds its port free, and a connection to a dead server
cannot reach itself.
"""

import contextlib
import random
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.support.programs import require
from tests.support.redis_server import RedisServer
from tests.support.service import wait_for

SLOTS = 16384
QUICK = ("--repl-diskless-sync-delay", "0")
CLUSTER = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", *QUICK)
NAME = "messages"


def steady_port() -> int:
    """Return a free port that no outgoing connection will get."""
    while True:
        port = random.randint(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def hosts(*servers: RedisServer) -> str:
    """Return the hosts as in the address of a store."""
    return ",".join(f"127.0.0.1:{server.service_port}" for server in servers)


def start_node(folder: Path, *options: str) -> RedisServer:
    """Start a redis-server with its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tls = ("--tls-port", str(steady_port())) if "--tls-cert-file" in options else ()
    server = RedisServer(folder, steady_port(), (*options, *tls))
    server.start()
    return server


@dataclass
class Cluster:
    """A cluster with one replica for each master. `nodes` are all servers."""

    nodes: list[RedisServer]

    @property
    def url(self) -> str:
        """The address of the store: two of the nodes."""
        return f"redis+cluster://{hosts(self.nodes[0], self.nodes[-1])}"

    def masters(self) -> list[RedisServer]:
        """Return the running nodes that see themselves as masters with slots."""
        return [node for node in self.nodes if _serves(node)]

    def replicas(self) -> list[RedisServer]:
        """Return the nodes that follow a master and are connected to it."""
        return [node for node in self.nodes if _follows(node)]

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Return the replicas of a master."""
        return [node for node in self.nodes if _info(node, "replication").get("master_port") == master.port]

    def slots_of(self, master: RedisServer) -> set[int]:
        """Return the slots of a master."""
        view = master.client().execute_command("CLUSTER SLOTS")
        return {
            slot for first, last, (_, port, *_), *_ in view if port == master.port for slot in range(first, last + 1)
        }

    def whole(self) -> bool:
        """Tell whether all nodes run and see all slots served, and every replica confirms all writes."""
        return (
            len(self.replicas()) * 2 == len(self.nodes)
            and all(map(_content, self.nodes))
            and all(node.client().wait(1, 100) == 1 for node in self.masters())
        )

    def fail_over(self, master: RedisServer, timeout: float = 20) -> None:
        """Kill a master with SIGKILL, wait until its replica has replaced it, and restart it as a replica."""
        heirs = [node.client() for node in self.replicas_of(master)]
        master.kill()
        wait_for(lambda: any(heir.role()[0] == b"master" for heir in heirs), timeout)
        master.start()

    def move_slots(self, count: int) -> None:
        """Move slots from the first master to the second while both serve (redis-cli --cluster reshard)."""
        source, target = (node.client().cluster("myid").decode() for node in self.masters()[:2])
        command = [require("redis-cli"), "--cluster", "reshard", f"127.0.0.1:{self.nodes[0].port}", "--cluster-yes"]
        command += ["--cluster-from", source, "--cluster-to", target, "--cluster-slots", str(count)]
        moved = subprocess.run(command, capture_output=True, text=True, check=False)
        assert moved.returncode == 0, moved.stdout[-2000:] + moved.stderr

    def flush(self) -> None:
        """Remove all keys."""
        for node in self.masters():
            node.client().flushall()

    def stop(self) -> None:
        """Kill all nodes."""
        for node in self.nodes:
            node.kill()


def _info(node: RedisServer, section: str) -> dict[str, object]:
    try:
        return node.client().info(section)
    except redis.RedisError:
        return {}


def _serves(node: RedisServer) -> bool:
    if _info(node, "replication").get("role") != "master":
        return False
    mine = next(line for line in node.client().cluster("nodes").values() if "myself" in line["flags"])
    return bool(mine["slots"])


def _follows(node: RedisServer) -> bool:
    state = _info(node, "replication")
    return (state.get("role"), state.get("master_link_status")) == ("slave", "up")


def _content(node: RedisServer) -> bool:
    try:
        state = node.client().cluster("info")
    except redis.RedisError:
        return False
    return (state["cluster_state"], state["cluster_slots_ok"]) == ("ok", str(SLOTS))


@contextlib.contextmanager
def cluster_running(folder: Path, *options: str, masters: int = 3, timeout: int = 1000) -> Iterator[Cluster]:
    """Run a cluster of `masters` and as many replicas; a node counts as failed after `timeout` ms."""
    nodes = []
    try:
        for n in range(2 * masters):
            bus = ("--cluster-port", str(steady_port()), "--cluster-node-timeout", str(timeout))
            nodes.append(start_node(folder / str(n), *CLUSTER, *bus, *options))
        cluster = Cluster(nodes)
        _join(nodes, masters)
        wait_for(cluster.whole)
        yield cluster
    finally:
        for node in nodes:
            node.kill()


def _join(nodes: Sequence[RedisServer], masters: int) -> None:
    first, *others = nodes
    for n, node in enumerate(nodes[:masters]):
        node.client().cluster("addslotsrange", n * SLOTS // masters, (n + 1) * SLOTS // masters - 1)
        node.client().cluster("set-config-epoch", n + 1)
    for node in others:
        node.client().cluster("meet", "127.0.0.1", first.service_port, first.option("--cluster-port"))
    wait_for(lambda: all(len(node.client().cluster("nodes")) == len(nodes) for node in nodes))
    for n, node in enumerate(nodes[masters:]):
        node.client().cluster("replicate", nodes[n].client().cluster("myid").decode())


@dataclass
class Trio:
    """A master, its replicas, and three sentinels that watch them."""

    servers: list[RedisServer]
    sentinels: list[RedisServer]

    @property
    def url(self) -> str:
        """The address of the store."""
        return f"redis+sentinel://{hosts(*self.sentinels)}/{NAME}"

    def master(self) -> RedisServer:
        """Return the master that the sentinels report."""
        sentinel: Any = self.sentinels[0].client()  # redis declares a bool for the answers of SENTINEL
        _, port = sentinel.sentinel_get_master_addr_by_name(NAME)
        return next(server for server in self.servers if server.service_port == port)

    def whole(self) -> bool:
        """Tell whether all sentinels know each other and the replicas, and every replica is connected."""
        sentinels: list[Any] = [sentinel.client() for sentinel in self.sentinels]
        replicas = len(self.servers) - 1
        return len(list(filter(_follows, self.servers))) == replicas and all(
            (state["num-other-sentinels"], state["num-slaves"], state["flags"]) == (2, replicas, "master")
            for state in (sentinel.sentinel_master(NAME) for sentinel in sentinels)
        )

    def fail_over(self) -> None:
        """Kill the master with SIGKILL, wait until the sentinels report another, and restart it as a replica."""
        master = self.master()
        master.kill()
        wait_for(lambda: self.master().port != master.port and _info(self.master(), "replication")["role"] == "master")
        master.start()

    def flush(self) -> None:
        """Remove all keys."""
        self.master().client().flushall()


@contextlib.contextmanager
def trio_running(
    folder: Path, *options: str, sentinel: tuple[str, ...] = (), replicas: int = 1, timeout: int = 1000
) -> Iterator[Trio]:
    """Run a master, replicas and three sentinels, which have the options `sentinel`; `timeout` is in ms."""
    started: list[RedisServer] = []

    def start(name: str, kind: tuple[str, ...], *lines: str) -> RedisServer:
        settings = folder / name / "redis.conf"  # a file, because a failover writes into it
        settings.parent.mkdir()
        settings.write_text("".join(f"{line}\n" for line in lines))
        started.append(start_node(settings.parent, str(settings), *kind))
        return started[-1]

    try:
        master = start("0", QUICK + options)
        follow = f"replicaof 127.0.0.1 {master.service_port}"
        servers = [master, *(start(str(n + 1), QUICK + options, follow) for n in range(replicas))]
        watch = [f"sentinel monitor {NAME} 127.0.0.1 {master.service_port} 2"]
        watch += [f"sentinel {what} {NAME} {timeout}" for what in ("down-after-milliseconds", "failover-timeout")]
        trio = Trio(servers, [start(f"sentinel-{n}", ("--sentinel", *options, *sentinel), *watch) for n in range(3)])
        wait_for(trio.whole, 30)
        yield trio
    finally:
        for one in started:
            one.kill()
