"""Writes that are acknowledged only after enough replicas have confirmed them.

Commands that arrive while a batch is in flight form the next batch. Each batch ends with one WAIT and is acknowledged
once `replicas` replicas have confirmed all of it. Without the confirmation it is unknown whether the batch would
survive a failover, so it fails. Before the first batch of a connection, and after a batch that failed, a WAIT is sent
by itself: nothing is written to a master without enough replicas, so no read is counted there that cannot be delivered.
"""

import asyncio

from messaging_api.core.background import OnFailure, start_task
from messaging_api.core.pending import Pending
from messaging_api.errors import NotExecuted, OutcomeUnknown, StoreError
from messaging_api.stores.batching import PendingOperation, drop_abandoned
from messaging_api.stores.redis.connection import Command, PendingCommand, Reply
from messaging_api.stores.redis.node import Node

_CONFIRM_SHARE, _PROBE_SHARE = 0.4, 0.15
"""The shares of a store's timeout for the replicas: to confirm a batch, which may wait for the batch before it, and to
show that they are connected. The latter is short, because a WAIT does not notice replicas that connect during it."""


class ReplicatedChannel:
    """A ServerChannel for writes to `node`, which nothing else may use. `timeout` is in seconds.

    `on_failure` is called if its task ends with an error.
    """

    def __init__(self, node: Node, replicas: int, timeout: float, on_failure: OnFailure) -> None:
        self._node = node
        self._replicas = replicas
        self._on_failure = on_failure
        self._wait, self._probe = (
            ("WAIT", str(replicas), str(int(timeout * share * 1000))) for share in (_CONFIRM_SHARE, _PROBE_SHARE)
        )
        self._queued: list[PendingCommand] = []
        self._task: asyncio.Task[None] | None = None
        self._replicated = False

    def submit(self, command: Command, *, ahead: bool = False) -> Pending[Reply]:
        """Send a command and return its reply to come, after enough replicas have confirmed the write."""
        pending: PendingCommand = PendingOperation(command)
        self._queued.append(pending)
        if self._task is None:
            self._task = start_task("replication", self._run(), self._on_failure)
        return pending

    def abandon(self, reply: Pending[Reply]) -> bool:
        """See `ServerChannel`."""
        reply.abandon()
        return any(pending is reply for pending in self._queued)

    async def aclose(self) -> None:
        """Wait for the writes that are due, then close."""
        if self._task is not None:
            await self._task
        await self._node.aclose()

    async def _run(self) -> None:
        while self._queued:
            if not (self._replicated and self._node.connected):
                self._replicated = await self._confirm(("PING",), self._probe)
            if self._replicated:
                batch, self._queued = drop_abandoned(self._queued), []
                await self._write(batch)
            if not self._replicated:  # commands behind a failed batch need not wait for a second failure
                rejected, self._queued = self._queued, []
                for pending in rejected:
                    pending.resolve(NotExecuted("Redis has too few replicas."))
        self._task = None

    async def _confirm(self, *commands: Command) -> bool:
        """Return whether enough replicas have everything that was written on this connection.

        The last of `commands` is a WAIT. Before Redis 7.2 any command in front of it, even PING, makes it wait for
        the writes of all connections.
        """
        try:
            *_, confirmed = [await reply for reply in [*map(self._node.submit, commands)]]
        except StoreError:
            self._node.drop()
            return False
        return isinstance(confirmed, int) and confirmed >= self._replicas

    async def _write(self, batch: list[PendingCommand]) -> None:
        replies = [self._node.submit(pending.operation) for pending in batch]
        self._replicated = await self._confirm(self._wait)
        if any(reply.wanted for reply in replies):  # a script that the server did not know went after the WAIT
            await asyncio.gather(*replies, return_exceptions=True)
            self._replicated = self._replicated and await self._confirm(self._wait)
        for pending, reply in zip(batch, replies, strict=True):
            outcome = reply.outcome()
            if not (self._replicated or isinstance(outcome, BaseException)):
                outcome = OutcomeUnknown("Too few replicas of Redis confirmed in time.")
            pending.resolve(outcome)
