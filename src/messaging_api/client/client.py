"""`Client` and `AsyncClient`: what does the work of `works.py` over a network, and nothing more."""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from os import PathLike
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from messaging_api.client.protocol import Answer, Broken, Request
from messaging_api.client.retry import Patience, Wait, Work
from messaging_api.client.transport import UNPOOLED, Gathering, asked, broken, quiet, quietly, trusting
from messaging_api.client.works import Works

P = ParamSpec("P")
Result = TypeVar("Result")


class _Shell:
    """What both are made of.

    `server` is where messages are sent to; reading needs none. `token` goes to it alone, and only to send. `ca` is a
    file of certificates to trust in place of the usual ones; `timeout` is in seconds, for each step of each try.
    `on_wait` is told of each pause before another try: its seconds and why. Raises BadLink for no address of a server.
    """

    def __init__(  # noqa: PLR0913 keywords, each of its own
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        ca: str | PathLike[str] | None = None,
        timeout: float = 15.0,
        patience: Patience | None = None,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        self.works = Works(server, token, patience or Patience())
        self._on_wait = on_wait
        self._connect(trusting(ca), timeout)
        quiet()

    def _connect(self, trust: ssl.SSLContext, timeout: float) -> None:
        raise NotImplementedError

    def _tell(self, step: Wait) -> None:
        if self._on_wait is not None:
            self._on_wait(step.seconds, step.why)


def _now(make: Callable[Concatenate[Works, P], Work[Result]]) -> "Callable[Concatenate[Client, P], Result]":
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self.run(make(self.works, *args, **kwargs))

    update_wrapper(method, make)
    return method


def _awaited(
    make: Callable[Concatenate[Works, P], Work[Result]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, Result]]":
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await self.run(make(self.works, *args, **kwargs))

    update_wrapper(method, make)
    return method


class Client(_Shell):
    """Sends and reads messages. Use it in a `with` block, or close it. Threads may share it."""

    send = _now(Works.send)
    read = _now(Works.read)
    fetch = _now(Works.fetch)
    receipt = _now(Works.receipt)
    burn = _now(Works.burn)
    limits = _now(Works.limits)

    def run(self, work: Work[Result]) -> Result:
        """Do the work, step by step."""
        reply: object = None
        while True:
            try:
                step = work.send(reply)
            except StopIteration as done:
                result: Result = done.value
                return result
            if isinstance(step, Request):
                reply = self._ask(step)
            elif isinstance(step, Wait):
                self._tell(step)
                time.sleep(step.seconds)
            else:
                reply = step.call()

    def _ask(self, request: Request) -> Answer | Broken:
        http, begin = self._kept if request.repeatable else self._fresh, time.monotonic()
        try:
            with quietly(), http.stream(**asked(request)) as response:
                body = Gathering(response)
                for chunk in response.iter_raw():
                    body.add(chunk)
                return body.answer()
        except httpx.TransportError as error:
            return broken(error, time.monotonic() - begin)

    def _connect(self, trust: ssl.SSLContext, timeout: float) -> None:
        self._kept = httpx.Client(verify=trust, timeout=timeout)
        self._fresh = httpx.Client(verify=trust, timeout=timeout, limits=UNPOOLED)

    def close(self) -> None:
        """Let go of its connections."""
        self._kept.close()
        self._fresh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Shell):
    """The same, to be awaited (asyncio). What keeps the processor busy is done in a thread."""

    send = _awaited(Works.send)
    read = _awaited(Works.read)
    fetch = _awaited(Works.fetch)
    receipt = _awaited(Works.receipt)
    burn = _awaited(Works.burn)
    limits = _awaited(Works.limits)

    async def run(self, work: Work[Result]) -> Result:
        """Do the work, step by step."""
        reply: object = None
        while True:
            try:
                step = work.send(reply)
            except StopIteration as done:
                result: Result = done.value
                return result
            if isinstance(step, Request):
                reply = await self._ask(step)
            elif isinstance(step, Wait):
                self._tell(step)
                await asyncio.sleep(step.seconds)
            else:
                reply = await asyncio.to_thread(step.call)

    async def _ask(self, request: Request) -> Answer | Broken:
        http, begin = self._kept if request.repeatable else self._fresh, time.monotonic()
        try:
            with quietly():
                async with http.stream(**asked(request)) as response:
                    body = Gathering(response)
                    async for chunk in response.aiter_raw():
                        body.add(chunk)
                    return body.answer()
        except httpx.TransportError as error:
            return broken(error, time.monotonic() - begin)

    def _connect(self, trust: ssl.SSLContext, timeout: float) -> None:
        self._kept = httpx.AsyncClient(verify=trust, timeout=timeout)
        self._fresh = httpx.AsyncClient(verify=trust, timeout=timeout, limits=UNPOOLED)

    async def aclose(self) -> None:
        """Let go of its connections."""
        await self._kept.aclose()
        await self._fresh.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
