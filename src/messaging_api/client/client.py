"""`Client` and `AsyncClient`: what does the work of `works.py` over a network, and nothing more."""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from os import PathLike
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from messaging_api.client.protocol import HttpRequest, HttpResponse, TransportFailure
from messaging_api.client.retry import Flow, RetryPolicy, Sleep
from messaging_api.client.transport import (
    UNPOOLED,
    BodyReader,
    broken,
    create_ssl_context,
    httpx_kwargs,
    install_log_filter,
    suppress_httpx_logs,
)
from messaging_api.client.works import FlowFactory

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
        policy: RetryPolicy | None = None,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> None:
        self.works = FlowFactory(server, token, policy or RetryPolicy())
        self._on_wait = on_wait
        self._connect(create_ssl_context(ca), timeout)
        install_log_filter()

    def _connect(self, trust: ssl.SSLContext, timeout: float) -> None:
        raise NotImplementedError

    def _tell(self, step: Sleep) -> None:
        if self._on_wait is not None:
            self._on_wait(step.seconds, step.why)


def _now(make: Callable[Concatenate[FlowFactory, P], Flow[Result]]) -> "Callable[Concatenate[Client, P], Result]":
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self.run(make(self.works, *args, **kwargs))

    update_wrapper(method, make)
    return method


def _awaited(
    make: Callable[Concatenate[FlowFactory, P], Flow[Result]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, Result]]":
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await self.run(make(self.works, *args, **kwargs))

    update_wrapper(method, make)
    return method


class Client(_Shell):
    """Sends and reads messages. Use it in a `with` block, or close it. Threads may share it."""

    send = _now(FlowFactory.send)
    read = _now(FlowFactory.read)
    fetch = _now(FlowFactory.fetch)
    receipt = _now(FlowFactory.receipt)
    burn = _now(FlowFactory.burn)
    limits = _now(FlowFactory.limits)

    def run(self, work: Flow[Result]) -> Result:
        """Do the work, step by step."""
        reply: object = None
        while True:
            try:
                step = work.send(reply)
            except StopIteration as done:
                result: Result = done.value
                return result
            if isinstance(step, HttpRequest):
                reply = self._ask(step)
            elif isinstance(step, Sleep):
                self._tell(step)
                time.sleep(step.seconds)
            else:
                reply = step.call()

    def _ask(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        http, begin = self._reusable if request.repeatable else self._single_use, time.monotonic()
        try:
            with suppress_httpx_logs(), http.stream(**httpx_kwargs(request)) as response:
                body = BodyReader(response)
                for chunk in response.iter_raw():
                    body.add(chunk)
                return body.answer()
        except httpx.TransportError as error:
            return broken(error, time.monotonic() - begin)

    def _connect(self, trust: ssl.SSLContext, timeout: float) -> None:
        self._reusable = httpx.Client(verify=trust, timeout=timeout)
        self._single_use = httpx.Client(verify=trust, timeout=timeout, limits=UNPOOLED)

    def close(self) -> None:
        """Let go of its connections."""
        self._reusable.close()
        self._single_use.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Shell):
    """The same, to be awaited (asyncio). What keeps the processor busy is done in a thread."""

    send = _awaited(FlowFactory.send)
    read = _awaited(FlowFactory.read)
    fetch = _awaited(FlowFactory.fetch)
    receipt = _awaited(FlowFactory.receipt)
    burn = _awaited(FlowFactory.burn)
    limits = _awaited(FlowFactory.limits)

    async def run(self, work: Flow[Result]) -> Result:
        """Do the work, step by step."""
        reply: object = None
        while True:
            try:
                step = work.send(reply)
            except StopIteration as done:
                result: Result = done.value
                return result
            if isinstance(step, HttpRequest):
                reply = await self._ask(step)
            elif isinstance(step, Sleep):
                self._tell(step)
                await asyncio.sleep(step.seconds)
            else:
                reply = await asyncio.to_thread(step.call)

    async def _ask(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        http, begin = self._reusable if request.repeatable else self._single_use, time.monotonic()
        try:
            with suppress_httpx_logs():
                async with http.stream(**httpx_kwargs(request)) as response:
                    body = BodyReader(response)
                    async for chunk in response.aiter_raw():
                        body.add(chunk)
                    return body.answer()
        except httpx.TransportError as error:
            return broken(error, time.monotonic() - begin)

    def _connect(self, trust: ssl.SSLContext, timeout: float) -> None:
        self._reusable = httpx.AsyncClient(verify=trust, timeout=timeout)
        self._single_use = httpx.AsyncClient(verify=trust, timeout=timeout, limits=UNPOOLED)

    async def aclose(self) -> None:
        """Let go of its connections."""
        await self._reusable.aclose()
        await self._single_use.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
