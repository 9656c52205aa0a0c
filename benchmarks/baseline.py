"""The baselines: servers that answer with recorded bytes and do no work.

    python -m benchmarks.baseline uvicorn|httptools <answers.json> <workers>

`uvicorn` is a raw ASGI application on stock uvicorn (httptools, uvloop); `httptools` is the same parser on uvloop with
nothing between. Each prints its URL. `answers.json` holds one response of the service for GET and for POST: headers and
body.
"""

import asyncio
import base64
import json
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import httptools
import uvicorn
import uvloop

Headers = list[tuple[bytes, bytes]]
Answer = tuple[Headers, bytes]


def recorded(path: Path) -> dict[str, Answer]:
    """Return header lines and body by method."""
    return {
        method: ([(k.encode(), v.encode()) for k, v in answer["headers"]], base64.b64decode(answer["body"]))
        for method, answer in json.loads(path.read_text()).items()
    }


class RawAsgiApp:
    """An ASGI application that reads the body and answers."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the body and answer."""
        headers, body = self._answers[scope["method"]]
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class HttptoolsConnection(asyncio.Protocol):
    """A connection that writes the whole recorded response when the parser reports the end of a request."""

    def __init__(self, responses: dict[bytes, bytes]) -> None:
        self._responses = responses
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer; the parser calls this."""
        self._transport.write(self._responses[self._parser.get_method()])


def whole_responses(answers: dict[str, Answer]) -> dict[bytes, bytes]:
    """Return the bytes of a response by method."""
    return {
        method.encode(): b"".join(
            [b"HTTP/1.1 200 OK\r\n", *(b"%b: %b\r\n" % header for header in headers), b"\r\n", body]
        )
        for method, (headers, body) in answers.items()
    }


def uvicorn_config(answers: dict[str, Answer]) -> uvicorn.Config:
    """Return the configuration of stock uvicorn without lifespan, logs and WebSockets."""
    app = RawAsgiApp(answers)
    return uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)


async def _serve_uvicorn(answers: dict[str, Answer], listener: socket.socket) -> None:
    await uvicorn.Server(uvicorn_config(answers)).serve([listener])


async def _serve_httptools(answers: dict[str, Answer], listener: socket.socket) -> None:
    responses = whole_responses(answers)
    server = await asyncio.get_running_loop().create_server(lambda: HttptoolsConnection(responses), sock=listener)
    await server.serve_forever()


SERVERS: dict[str, Callable[[dict[str, Answer], socket.socket], Coroutine[Any, Any, None]]] = {
    "uvicorn": _serve_uvicorn,
    "httptools": _serve_httptools,
}


def serve(kind: str, answers: dict[str, Answer], listener: socket.socket) -> None:
    """Serve until told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(SERVERS[kind](answers, listener))


def main(kind: str, answers: str, workers: str) -> None:
    """Serve in this process and in `workers` - 1 children, which end with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an exit, unlike a signal, also ends the children
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    serving = (kind, recorded(Path(answers)), listener)
    for _ in range(int(workers) - 1):
        multiprocessing.get_context("fork").Process(target=serve, args=serving, daemon=True).start()
    serve(*serving)


if __name__ == "__main__":
    main(*sys.argv[1:])
