"""A real Redis Cluster and a real Sentinel trio on loopback: started, broken and mended by the tests.

Ports lie below those that the system gives to outgoing connections: a server that comes back finds its port free, and
nobody who knocks at a dead one meets himself.
"""

import contextlib
import random
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.redis_server import RedisServer
from tests.support.service import wait_for

SLOTS = 16384
QUICK = ("--repl-diskless-sync-delay", "0")
CLUSTER = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", *QUICK)
NAME = "messages"


def steady_port() -> int:
    """A port nobody listens on, which no outgoing connection will be given."""
    while True:
        port = random.randint(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def hosts(*servers: RedisServer) -> str:
    """As in the address of a store."""
    return ",".join(f"127.0.0.1:{server.service_port}" for server in servers)


def start_node(folder: Path, *options: str) -> RedisServer:
    """A redis-server with its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tls = ("--tls-port", str(steady_port())) if "--tls-cert-file" in options else ()
    server = RedisServer(folder, steady_port(), (*options, *tls))
    server.start()
    return server


@dataclass
class Cluster:
    """Masters and as many replicas, of which each server is one. `nodes` are all of them."""

    nodes: list[RedisServer]

    @property
    def url(self) -> str:
        """The address for our stores: any two of its nodes."""
        return f"redis+cluster://{hosts(self.nodes[0], self.nodes[-1])}"

    def masters(self) -> list[RedisServer]:
        """Those that are masters and own slots, as the nodes that live see it themselves."""
        return [node for node in self.nodes if _serves(node)]

    def replicas(self) -> list[RedisServer]:
        """Those that follow a master and have its data."""
        return [node for node in self.nodes if _follows(node)]

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Those that follow this one."""
        return [node for node in self.nodes if _info(node, "replication").get("master_port") == master.port]

    def slots_of(self, master: RedisServer) -> set[int]:
        """The slots that it serves."""
        view = master.client().execute_command("CLUSTER SLOTS")
        return {
            slot for first, last, (_, port, *_), *_ in view if port == master.port for slot in range(first, last + 1)
        }

    def whole(self) -> bool:
        """Whether every node lives, agrees that all slots are served, and every replica confirms all there is."""
        return (
            len(self.replicas()) * 2 == len(self.nodes)
            and all(map(_content, self.nodes))
            and all(node.client().wait(1, 100) == 1 for node in self.masters())
        )

    def fail_over(self, master: RedisServer, patience: float = 20) -> None:
        """kill -9; wait until its replica has taken its place; start it again, which makes it a replica."""
        heirs = [node.client() for node in self.replicas_of(master)]
        master.kill()
        wait_for(lambda: any(heir.role()[0] == b"master" for heir in heirs), patience)
        master.start()

    def move_slots(self, count: int) -> None:
        """Move this many slots from the first master to the next while both serve (redis-cli --cluster reshard)."""
        source, target = (node.client().cluster("myid").decode() for node in self.masters()[:2])
        command = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{self.nodes[0].port}", "--cluster-yes"]
        command += ["--cluster-from", source, "--cluster-to", target, "--cluster-slots", str(count)]
        moved = subprocess.run(command, capture_output=True, text=True, check=False)
        assert moved.returncode == 0, moved.stdout[-2000:] + moved.stderr

    def flush(self) -> None:
        """Remove all that is kept."""
        for node in self.masters():
            node.client().flushall()

    def stop(self) -> None:
        """End all of it."""
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
    """A cluster of twice as many nodes as `masters`; a node counts as failed after `timeout` ms."""
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
        """The address for our stores."""
        return f"redis+sentinel://{hosts(*self.sentinels)}/{NAME}"

    def master(self) -> RedisServer:
        """The one that the sentinels name."""
        _, port = self.sentinels[0].client().sentinel_get_master_addr_by_name(NAME)
        return next(server for server in self.servers if server.service_port == port)

    def whole(self) -> bool:
        """Whether all sentinels know each other and the replicas, and every replica is in step."""
        return len(list(filter(_follows, self.servers))) == len(self.servers) - 1 and all(
            (state["num-other-sentinels"], state["num-slaves"], state["flags"]) == (2, len(self.servers) - 1, "master")
            for state in (one.client().sentinel_master(NAME) for one in self.sentinels)
        )

    def fail_over(self, patience: float = 20) -> None:
        """kill -9 of the master; wait until the sentinels name another; start it again, which makes it a replica."""
        master = self.master()
        master.kill()
        wait_for(lambda: self.master().port != master.port and _info(self.master(), "replication")["role"] == "master")
        master.start()

    def flush(self) -> None:
        """Remove all that is kept."""
        self.master().client().flushall()


@contextlib.contextmanager
def trio_running(
    folder: Path, *options: str, sentinel: tuple[str, ...] = (), replicas: int = 1, timeout: int = 1000
) -> Iterator[Trio]:
    """A master with replicas and three sentinels, which have options of their own; failed after `timeout` ms."""
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
