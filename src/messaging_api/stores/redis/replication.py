"""Writes that are answered only once enough replicas have them.

All that gathers while one batch is on its way goes into the next, and each ends with one WAIT: a batch is answered once
`replicas` replicas have confirmed all of it. If they have not, whether it outlives a failover is unknown, so it fails.
Before the first batch of a connection, and after one that failed, WAIT is asked by itself: nothing is written to a
master without enough replicas, so that no read is counted there that could not be shown.
"""

import asyncio

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.batching import PendingOperation, drop_abandoned
from messaging_api.stores.redis.connection import Command, Reply
from messaging_api.stores.redis.errors import NotExecuted
from messaging_api.stores.redis.node import Node

_PATIENCE, _PROBE = 0.4, 0.15
"""The parts of a store's timeout that replicas have to confirm a batch, which may wait for one before it, and to show
that they are there; short, because a replica that joins while a WAIT waits is not asked by it."""


class ReplicatedChannel:
    """A Lane for writes to `node`, on which nothing else must be sent."""

    def __init__(self, node: Node, replicas: int, timeout: float) -> None:
        self._node = node
        self._replicas = replicas
        self._wait, self._probe = (
            ("WAIT", str(replicas), str(int(timeout * part * 1000))) for part in (_PATIENCE, _PROBE)
        )
        self._gathered: list[PendingOperation[Command, Reply]] = []
        self._working: asyncio.Task[None] | None = None
        self._sure = False

    def submit(self, command: Command, *, ahead: bool = False) -> "asyncio.Future[Reply]":
        """The reply to come, once enough replicas have what the command wrote."""
        ticket: PendingOperation[Command, Reply] = PendingOperation(command, asyncio.get_running_loop().create_future())
        self._gathered.append(ticket)
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return ticket.answer

    async def aclose(self) -> None:
        if self._working is not None:
            await self._working
        await self._node.aclose()

    async def _work(self) -> None:
        while self._gathered:
            if not (self._sure and self._node.connected):
                self._sure = await self._confirmed(("PING",), self._probe)
            if self._sure:
                batch, self._gathered = drop_abandoned(self._gathered), []
                await self._write(batch)
            if not self._sure:  # nor does anyone wait behind a batch that failed
                refused, self._gathered = self._gathered, []
                for ticket in refused:
                    ticket.resolve(NotExecuted("Redis has too few replicas."))
        self._working = None

    async def _confirmed(self, *commands: Command) -> bool:
        """Whether enough replicas have all that was written on this connection; the last of `commands` is a WAIT.

        Before Redis 7.2 any command in front of it, a PING too, makes it wait for all that was written by anyone.
        """
        try:
            *_, count = await asyncio.gather(*map(self._node.submit, commands))
        except StoreError:
            self._node.drop()
            return False
        return bool(count >= self._replicas)

    async def _write(self, batch: list[PendingOperation[Command, Reply]]) -> None:
        answers = [self._node.submit(ticket.operation) for ticket in batch]
        self._sure = await self._confirmed(self._wait)
        if not all(answer.done() for answer in answers):  # a script that the server did not know went after the WAIT
            await asyncio.wait(answers)
            self._sure = self._sure and await self._confirmed(self._wait)
        for ticket, answer in zip(batch, answers, strict=True):
            failure = answer.exception()
            if failure is None and not self._sure:
                failure = StoreUnavailable("Too few replicas of Redis confirmed in time.")
            ticket.resolve(failure or answer.result())
