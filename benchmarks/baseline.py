"""The floor: a raw ASGI app on uvicorn as it comes (httptools, uvloop), answering the bytes that the service would.

    python -m benchmarks.baseline raw|falcon <answers.json> <workers>

Prints its URL. `answers.json` holds one recorded answer of the service for GET and POST: headers and body.
"""

import asyncio
import base64
import json
import multiprocessing
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

Answer = tuple[list[tuple[bytes, bytes]], bytes]


def recorded(path: str) -> dict[str, Answer]:
    """Headers and body for each method."""
    return {
        method: ([(k.encode(), v.encode()) for k, v in answer["headers"]], base64.b64decode(answer["body"]))
        for method, answer in json.loads(Path(path).read_text()).items()
    }


class RawAsgiApp:
    """The least an ASGI app can do: read the body, answer."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers, body = self._answers[scope["method"]]
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def falcon_app(answers: dict[str, Answer]) -> Any:
    """The same through Falcon's routing, request and response objects."""
    import falcon.asgi

    class Resource:
        async def on_get(self, _request: Any, response: Any, _name: str = "") -> None:
            self._answer("GET", response)

        async def on_post(self, request: Any, response: Any) -> None:
            await request.stream.read()
            self._answer("POST", response)

        def _answer(self, method: str, response: Any) -> None:
            headers, response.data = answers[method]
            response.set_headers([(name.decode(), value.decode()) for name, value in headers])

    app = falcon.asgi.App()
    app.add_route("/", Resource())
    app.add_route("/msg/{_name}", Resource())
    return app


def serve(kind: str, answers: dict[str, Answer], listener: socket.socket) -> None:
    """Serve until told to stop."""
    app = RawAsgiApp(answers) if kind == "raw" else falcon_app(answers)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


def main(kind: str, answers: str, workers: str) -> None:
    """This process serves, and is joined by as many others as are asked for."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    serving = (kind, recorded(answers), listener)
    for _ in range(int(workers) - 1):
        multiprocessing.get_context("fork").Process(target=serve, args=serving, daemon=True).start()
    serve(*serving)


if __name__ == "__main__":
    main(*sys.argv[1:])
