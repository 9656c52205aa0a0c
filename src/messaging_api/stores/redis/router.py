"""The routing of commands in a cluster: each to the node of its key, with redirects and retries."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import cast

from messaging_api.core.pending import Pending, TaskResult
from messaging_api.errors import NotExecuted, StoreError, StoreFull
from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.errors import AskRedirect, MovedRedirect, without_reply
from messaging_api.stores.redis.hash_slot import node_endpoint, slot_of
from messaging_api.stores.redis.node import ServerChannel
from messaging_api.stores.redis.scripts import as_eval
from messaging_api.stores.redis.topology import ClusterTopology, Shard


class ClusterRouter:
    """A CommandChannel to whichever node serves the key of a command; it follows the redirects of the nodes.

    `pick` chooses one of the channels of a shard. `retry_timeout`, in seconds, bounds all retries of a command.
    """

    def __init__(self, topology: ClusterTopology, pick: Callable[[Shard], ServerChannel], retry_timeout: float) -> None:
        self._topology = topology
        self._pick = pick
        self._retry_timeout = retry_timeout

    async def submit(self, command: Command, *, ahead: bool = False) -> Reply:
        """Send a command and return its reply. Raises StoreError."""
        try:
            return await self.begin(command, ahead=ahead)
        except StoreError as failure:
            return await TaskResult(self._recover(command, failure))

    def begin(self, command: Command, *, ahead: bool = False) -> Awaitable[Reply]:
        """Send a command to the node that should serve its key; pass the result to `finish`."""
        shard = self._topology.by_slot[slot_of(_key(command))]
        return (
            TaskResult(self._find_and_submit(command))
            if shard is None
            else self._pick(shard).submit(command, ahead=ahead)
        )

    async def finish(self, command: Command, begun: Awaitable[Reply]) -> Reply:
        """Return the reply of `begun`, or that of another node if the first one did not serve the key."""
        try:
            return await begun
        except StoreError as failure:
            return await TaskResult(self._recover(command, failure))

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self._topology.aclose()

    async def _find_and_submit(self, command: Command) -> Reply:
        await asyncio.shield(self._topology.refresh())
        return await self._channel(command).submit(command)

    async def _recover(self, command: Command, failure: StoreError) -> Reply:
        if isinstance(failure, StoreFull):
            raise failure
        if isinstance(failure, NotExecuted):
            return await self._retry(command, failure)
        self._topology.refresh()  # it may have been executed, so no retry; but another node may serve the slot now
        raise failure

    async def _retry(self, command: Command, rejection: NotExecuted) -> Reply:
        """Send `command` again until it is executed, or its outcome is unknown, or the time for retries is over."""
        attempt: Awaitable[Reply] | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._retry_timeout):
                while not isinstance(rejection, StoreFull):
                    channel = await self._next_channel(command, rejection)
                    attempt = _ask(channel, command) if isinstance(rejection, AskRedirect) else channel.submit(command)
                    try:
                        return await attempt
                    except NotExecuted as next_rejection:
                        rejection, attempt = next_rejection, None
        raise (
            rejection if attempt is None or _not_executed(channel, attempt) else without_reply(command, str(rejection))
        )

    async def _next_channel(self, command: Command, rejection: NotExecuted) -> ServerChannel:
        """Return the channel to the node that should serve `command` after `rejection`. Raises NotExecuted."""
        slot = slot_of(_key(command))
        shard = self._topology.by_slot[slot]
        if shard is None or not isinstance(rejection, MovedRedirect):
            await asyncio.shield(self._topology.refresh())
        else:
            shard = self._topology.shard(node_endpoint(rejection.host, rejection.port, shard.endpoint))
            if isinstance(rejection, AskRedirect):
                return self._pick(shard)
            self._topology.assign(slot, shard)
            self._topology.refresh()
        return self._channel(command)

    def _channel(self, command: Command) -> ServerChannel:
        shard = self._topology.by_slot[slot_of(_key(command))]
        if shard is None:
            raise NotExecuted("The cluster is out of reach.")
        return self._pick(shard)


def _not_executed(channel: ServerChannel, attempt: Awaitable[Reply]) -> bool:
    """Abandon an attempt, and return whether its command was not sent, or rejected in the last moment."""
    if not isinstance(attempt, Pending):
        return False
    return channel.abandon(attempt) or isinstance(attempt.outcome(), NotExecuted)


async def _ask(channel: ServerChannel, command: Command) -> Reply:
    """Send `command` to the node that a slot is being moved to (Redis Cluster specification, "ASK redirection")."""
    replies = (channel.submit(("ASKING",)), channel.submit(as_eval(command)))
    outcome: Reply = (await asyncio.gather(*replies, return_exceptions=True))[1]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _key(command: Command) -> bytes:
    return cast("bytes", command[3 if command[0] == "EVALSHA" else 1])
