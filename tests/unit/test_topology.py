"""The topology of a cluster whose nodes come and go, over channels without a network.

A real cluster cannot be renewed as often as here; tests/cluster/test_topology.py does it once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from messaging_api.core.background import raise_failure
from messaging_api.core.pending import Pending
from messaging_api.errors import NotExecuted
from messaging_api.stores.redis.connection import Command
from messaging_api.stores.redis.hash_slot import SLOTS
from messaging_api.stores.redis.topology import ClusterTopology, Shard
from messaging_api.stores.redis.url import Endpoint

TIMEOUT = 4.0
HOST = Endpoint("redis.example", 6379)
"""A configured host: a name that leads to one of the live nodes."""


class FakeNode:
    """A command channel to a node that resolves each command with what `respond` returns; not at all for None."""

    def __init__(self, respond: Callable[[], Any]) -> None:
        self.respond = respond
        self.closed = False
        self.due: list[Pending[Any]] = []

    def submit(self, _command: Command, *, ahead: bool = False) -> Pending[Any]:
        assert not ahead
        reply: Pending[Any] = Pending()
        self.due.append(reply)
        response = self.respond()
        if response is not None:
            asyncio.get_running_loop().call_soon(reply.resolve, response)
        return reply

    def abandon(self, reply: Pending[Any]) -> bool:
        raise NotImplementedError

    async def aclose(self) -> None:
        assert not any(reply.wanted for reply in self.due), "closed before its replies were in"
        self.closed = True


def hangs() -> None:
    """Do not respond."""


def refuses() -> NotExecuted:
    return NotExecuted("gone")


def view(masters: Sequence[Endpoint], slots: int) -> list[Any]:
    """Return a reply to CLUSTER SLOTS: these masters share the first `slots` slots."""
    bounds = [n * slots // len(masters) for n in range(len(masters) + 1)]
    return [[bounds[n], bounds[n + 1] - 1, [host.encode(), port]] for n, (host, port) in enumerate(masters)]


class FakeCluster:
    """A cluster of the masters `live`, which serve the first `slots` slots; other nodes respond as `gone` says."""

    def __init__(self, gone: Callable[[], Any]) -> None:
        self.live: list[Endpoint] = []
        self.slots = SLOTS
        self.gone = gone
        self.nodes: list[tuple[Endpoint, FakeNode]] = []

    def open_shard(self, endpoint: Endpoint) -> Shard:
        def respond() -> Any:
            return view(self.live, self.slots) if endpoint in (HOST, *self.live) else self.gone()

        node = FakeNode(respond)
        self.nodes.append((endpoint, node))
        return Shard(endpoint, node, node)

    def renew(self, generation: int, masters: int = 3) -> None:
        """Replace all nodes, as a rolling restart of pods does."""
        self.live = [Endpoint(f"10.0.{generation}.{n}", 6379) for n in range(masters)]

    def open(self) -> list[Endpoint]:
        """Return the endpoints of the channels that are not closed."""
        return sorted(endpoint for endpoint, node in self.nodes if not node.closed)


@contextlib.asynccontextmanager
async def topology_of(cluster: FakeCluster, *hosts: Endpoint) -> AsyncIterator[ClusterTopology]:
    """Follow a cluster for a block; after it no channel is open."""
    topology = ClusterTopology(hosts, TIMEOUT, cluster.open_shard, raise_failure)
    yield topology
    cluster.gone = refuses
    for reply in [reply for _, node in cluster.nodes for reply in node.due]:
        reply.resolve(refuses())
    await topology.aclose()
    assert cluster.open() == []


async def found(topology: ClusterTopology, cluster: FakeCluster) -> bool:
    """Refresh; tell whether the topology is that of the cluster."""
    await topology.refresh()
    return {shard.endpoint for shard in topology.serving()} == set(cluster.live) and None not in topology.by_slot


async def settled(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("gone", [hangs, refuses])
def test_replaced_nodes_are_forgotten(gone: Callable[[], Any]) -> None:
    """After 20 rolling restarts each refresh finds the nodes, and no channel to one of the 60 that went is open."""

    async def work() -> None:
        cluster = FakeCluster(gone)
        async with topology_of(cluster, HOST) as topology:
            for generation in range(21):
                cluster.renew(generation)
                assert await found(topology, cluster)
            for _ in range(20):
                assert await found(topology, cluster)
            for reply in [reply for _, node in cluster.nodes for reply in node.due]:
                reply.resolve(refuses())  # what hung has timed out
            await settled(lambda: cluster.open() == sorted([HOST, *cluster.live]))

    asyncio.run(work())


def test_known_nodes_that_are_gone_do_not_hide_those_that_serve() -> None:
    """60 hanging nodes that redirects once named: each refresh finds the cluster, and soon."""

    async def work() -> None:
        cluster = FakeCluster(hangs)
        cluster.renew(0)
        async with topology_of(cluster, cluster.live[0]) as topology:
            assert await found(topology, cluster)
            for _ in range(20):
                for n in range(60):
                    topology.shard(Endpoint(f"10.9.9.{n}", 6379))
                begin = asyncio.get_running_loop().time()
                assert await found(topology, cluster)
                assert asyncio.get_running_loop().time() - begin < TIMEOUT / 2

    asyncio.run(work())


def test_a_forgotten_channel_is_closed_after_the_replies_that_are_due() -> None:
    """A command that was sent to a node before it left the cluster gets its reply."""

    async def work() -> None:
        cluster = FakeCluster(hangs)
        cluster.renew(0)
        async with topology_of(cluster, HOST) as topology:
            assert await found(topology, cluster)
            (node,) = (node for endpoint, node in cluster.nodes if endpoint == cluster.live[0])
            cluster.renew(1)
            reply = node.submit(("GET", b"key"))
            assert await found(topology, cluster)
            for _ in range(10):
                await asyncio.sleep(0)
            assert not node.closed
            for due in node.due:
                due.resolve(b"value")
            assert await reply == b"value"
            await settled(lambda: node.closed)

    asyncio.run(work())


def test_an_incomplete_view_forgets_nothing() -> None:
    """Only a view of all slots tells that a node is gone."""

    async def work() -> None:
        cluster = FakeCluster(refuses)
        cluster.renew(0)
        async with topology_of(cluster, HOST) as topology:
            assert await found(topology, cluster)
            known = set(cluster.open())
            cluster.renew(1)
            cluster.slots = SLOTS - 1
            await topology.refresh()
            assert known <= set(cluster.open())
            cluster.slots = SLOTS
            assert await found(topology, cluster)
            await settled(lambda: cluster.open() == sorted([HOST, *cluster.live]))

    asyncio.run(work())


@pytest.mark.parametrize("hosts", [1, 9])
def test_nodes_that_fail_are_replaced_by_others(hosts: int) -> None:
    """One live node among many that refuse is found in one refresh, whether it served or was configured."""

    async def work() -> None:
        cluster = FakeCluster(refuses)
        cluster.renew(0, masters=9)
        dead = [Endpoint(f"10.9.9.{n}", 6379) for n in range(hosts)]
        async with topology_of(cluster, HOST, *dead) as topology:
            assert await found(topology, cluster)
            cluster.renew(1, masters=9)  # of the configured hosts only one is alive, of those that served none
            assert await found(topology, cluster)

    asyncio.run(work())


def test_a_refresh_queries_few_nodes() -> None:
    """A large cluster is not flooded, also when no node knows all slots."""

    async def work() -> None:
        cluster = FakeCluster(refuses)
        cluster.renew(0, masters=50)
        async with topology_of(cluster, HOST) as topology:
            assert await found(topology, cluster)
            cluster.slots = SLOTS - 1
            before = sum(len(node.due) for _, node in cluster.nodes)
            await topology.refresh()
            assert sum(len(node.due) for _, node in cluster.nodes) - before == 3

    asyncio.run(work())
