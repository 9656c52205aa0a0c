"""The routing of commands in a cluster: each to the node of its key, with redirects and retries."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import cast

from messaging_api.core.pending import TaskResult
from messaging_api.errors import StoreUnavailable
from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.errors import AskRedirect, MovedRedirect, NotExecuted
from messaging_api.stores.redis.hash_slot import node_endpoint, slot_of
from messaging_api.stores.redis.node import CommandChannel
from messaging_api.stores.redis.scripts import as_eval
from messaging_api.stores.redis.topology import ClusterTopology, Shard


class ClusterRouter:
    """A CommandChannel to whichever node serves the key of a command; it follows the redirects of the nodes.

    `pick` chooses one of the channels of a shard. `retry_timeout`, in seconds, bounds all retries of a command.
    """

    def __init__(
        self, topology: ClusterTopology, pick: Callable[[Shard], CommandChannel], retry_timeout: float
    ) -> None:
        self._topology = topology
        self._pick = pick
        self._retry_timeout = retry_timeout

    async def submit(self, command: Command, *, ahead: bool = False) -> Reply:
        """Send a command and return its reply. Raises StoreError."""
        try:
            return await self.begin(command, ahead=ahead)
        except StoreUnavailable as failure:
            return await TaskResult(self._recover(command, failure))

    def begin(self, command: Command, *, ahead: bool = False) -> Awaitable[Reply]:
        """Send a command to the node that should serve its key; pass the result to `finish`."""
        shard = self._topology.by_slot[_slot(command)]
        return (
            TaskResult(self._find_and_submit(command))
            if shard is None
            else self._pick(shard).submit(command, ahead=ahead)
        )

    async def finish(self, command: Command, begun: Awaitable[Reply]) -> Reply:
        """Return the reply of `begun`, or that of another node if the first one did not serve the key."""
        try:
            return await begun
        except StoreUnavailable as failure:
            return await TaskResult(self._recover(command, failure))

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self._topology.aclose()

    async def _find_and_submit(self, command: Command) -> Reply:
        await asyncio.shield(self._topology.refresh())
        shard = self._topology.by_slot[_slot(command)]
        if shard is None:
            raise StoreUnavailable("The cluster is out of reach.")
        return await self._pick(shard).submit(command)

    async def _recover(self, command: Command, failure: StoreUnavailable) -> Reply:
        if isinstance(failure, NotExecuted):
            return await self._retry(command, failure)
        self._topology.refresh()  # it may have been executed, so no retry; but another node may serve the slot now
        raise failure

    async def _retry(self, command: Command, rejection: NotExecuted) -> Reply:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._retry_timeout):
                while True:
                    try:
                        return await self._retry_once(command, rejection)
                    except NotExecuted as next_rejection:
                        rejection = next_rejection
        raise StoreUnavailable(str(rejection))

    async def _retry_once(self, command: Command, rejection: NotExecuted) -> Reply:
        slot = _slot(command)
        shard = self._topology.by_slot[slot]
        if shard is None or not isinstance(rejection, MovedRedirect):
            await asyncio.shield(self._topology.refresh())
            return await self.begin(command)
        target = self._topology.shard(node_endpoint(rejection.host, rejection.port, shard.endpoint))
        if isinstance(rejection, AskRedirect):
            channel = self._pick(target)
            _, reply = await asyncio.gather(channel.submit(("ASKING",)), channel.submit(as_eval(command)))
            return reply
        self._topology.assign(slot, target)
        self._topology.refresh()
        return await self.begin(command)


def _slot(command: Command) -> int:
    return slot_of(cast("bytes", command[3 if command[0] == "EVALSHA" else 1]))
