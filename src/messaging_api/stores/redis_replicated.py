"""Writes that are answered only once enough replicas have them.

All that gathers while one batch is on its way goes into the next, and each ends with one WAIT: a batch is answered once
`replicas` replicas have confirmed all of it. If they have not, whether it outlives a failover is unknown, so it fails.
Before the first batch of a connection, and after one that failed, WAIT is asked by itself: nothing is written to a
master without enough replicas, so that no read is counted there that could not be shown.
"""

import asyncio

from messaging_api.errors import StoreError, StoreUnavailable
from messaging_api.stores.batching import Ticket
from messaging_api.stores.redis_node import Node
from messaging_api.stores.redis_refusals import NotExecuted
from messaging_api.stores.resp import Command, Reply

_PATIENCE = 0.4
"""The part of a store's timeout that replicas have to confirm: a batch may wait for one before it."""


class Replicated:
    """A Lane for writes to `node`, on which nothing else must be sent."""

    def __init__(self, node: Node, replicas: int, timeout: float) -> None:
        self._node = node
        self._replicas = replicas
        self._wait: Command = ("WAIT", str(replicas), str(int(timeout * _PATIENCE * 1000)))
        self._gathered: list[Ticket[Command, Reply]] = []
        self._working: asyncio.Task[None] | None = None
        self._sure = False

    def submit(self, command: Command) -> "asyncio.Future[Reply]":
        """The reply to come, once enough replicas have what the command wrote."""
        ticket: Ticket[Command, Reply] = Ticket(command, asyncio.get_running_loop().create_future())
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
                self._sure = await self._confirmed()
            if self._sure:
                batch, self._gathered = self._gathered, []
                await self._write(batch)
            if not self._sure:  # nor does anyone wait behind a batch that failed
                refused, self._gathered = self._gathered, []
                for ticket in refused:
                    ticket.settle(NotExecuted("Redis has too few replicas."))
        self._working = None

    async def _confirmed(self) -> bool:
        """Whether enough replicas have all that was written on this connection."""
        try:
            count: int = await self._node.submit(self._wait)
        except StoreError:
            self._node.drop()
            return False
        return count >= self._replicas

    async def _write(self, batch: list[Ticket[Command, Reply]]) -> None:
        answers = [self._node.submit(ticket.operation) for ticket in batch]
        self._sure = await self._confirmed()
        if not all(answer.done() for answer in answers):  # a script that the server did not know went after the WAIT
            await asyncio.wait(answers)
            self._sure = self._sure and await self._confirmed()
        for ticket, answer in zip(batch, answers, strict=True):
            failure = answer.exception()
            if failure is None and not self._sure:
                failure = StoreUnavailable("Too few replicas of Redis confirmed in time.")
            ticket.settle(failure or answer.result())
