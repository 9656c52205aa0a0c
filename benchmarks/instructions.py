"""Instructions that a request costs in user space, counted by valgrind: a figure that no noise moves.

The same requests go to the protocol of either server, 32 at once, on transports that only look for an answer's end;
so it leaves out the kernel, and is for comparing one version of the service with the next.

    python -m benchmarks.instructions floor|<store> read|create <rounds> <paths>    what is counted
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks import servers
from benchmarks.baseline import RawAsgiApp
from benchmarks.load import fill
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger
from messaging_api.observability.metrics import SharedMetrics
from messaging_api.observability.rotating_file import DailyFile
from messaging_api.runtime.application import create_app, now_ms
from messaging_api.server.load import WorkerLoad
from messaging_api.server.protocol import Protocol
from messaging_api.settings.server import load
from messaging_api.stores import StoreOptions, open_store

AT_ONCE = 32
FEWER, MORE = 40, 140
"""Rounds of two runs: what they differ by leaves out the start."""
_TEXT = json.dumps({"message": "0123456789abcdef" * 64}).encode()
_HEAD = b"Host: 127.0.0.1:43210\r\nAccept: application/json\r\n"
_POST = b"POST / HTTP/1.1\r\n%bContent-Type: application/json\r\n" % _HEAD
_POST += b"Content-Length: %d\r\n\r\n%b" % (len(_TEXT), _TEXT)
_BODY = b"x" * 1129 + b"}"
_HEADERS = [*((b"x-%d" % n, b"as long as ours are in the mean, ") for n in range(9)), (b"content-length", b"1130")]
"""Header lines and a body about as long as the service's."""


class Sink(asyncio.Transport):
    """Calls `answered` at the end of each answer."""

    def __init__(self, answered: Callable[[], None]) -> None:
        super().__init__()
        self._answered = answered

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5000) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        if data.endswith(b"}"):
            self._answered()


async def _run(store_url: str, requests: Iterator[bytes], rounds: int, logs: Path) -> None:
    store, make = (None, _bare()) if store_url == "floor" else _service(store_url, logs)
    left, done = 0, asyncio.Event()

    def answered() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    connections = [make() for _ in range(AT_ONCE)]
    for one in connections:
        one.connection_made(Sink(answered))
    for _ in range(rounds):
        left = AT_ONCE
        done.clear()
        for one in connections:
            one.data_received(next(requests))
        await done.wait()
        await asyncio.sleep(0)
    if store is not None:
        await store.aclose()


def _config(app: Any) -> uvicorn.Config:
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    return config


def _bare() -> Callable[[], HttpToolsProtocol]:
    config = _config(RawAsgiApp(dict.fromkeys(("GET", "POST"), (_HEADERS, _BODY))))
    return lambda: HttpToolsProtocol(config, ServerState(), {})


def _service(url: str, logs: Path) -> tuple[Any, Callable[[], HttpToolsProtocol]]:
    """The application with everything on, and what makes its connections."""
    limits = dict.fromkeys(("limit_create", "limit_read", "limit_miss"), "1000000")
    settings, _ = load({"store": url, **limits}, {})
    row = SharedMetrics(1).workers[0]
    logger = JsonLogger(DailyFile(str(logs), 1))
    audit, store = AuditLog(logger, row), open_store(url, now_ms, StoreOptions(60))
    app: Any = create_app(settings, store, audit, logger, row)
    config = _config(app)
    return store, lambda: Protocol(config, ServerState(), app, WorkerLoad(audit, 1000, 1000, 2**26))


def _counted(store_url: str, what: str, paths: Path, rounds: int) -> int:
    me = [sys.executable, "-m", "benchmarks.instructions", store_url, what, str(rounds), str(paths)]
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    ran = subprocess.run([*valgrind, *me], capture_output=True, text=True, env={"PYTHONHASHSEED": "0"}, check=True)
    return int(re.search(r"Collected : (\d+)", ran.stderr)[1])  # type: ignore[index]


def main(asked: argparse.Namespace) -> None:
    """Count, and write instructions.json."""
    assert shutil.which("valgrind"), "counting instructions needs valgrind: scripts/need valgrind"
    told = {}
    with tempfile.TemporaryDirectory() as folder, servers.redis(Path(folder)) as redis_url:
        for name, url in (("floor", "floor"), ("SQLite", f"sqlite://{folder}/counted.db"), ("Redis", redis_url)):
            paths = Path(folder) / "paths"
            if url == "floor":
                paths.write_text("/msg/00000000-0000-4000-8000-000000000000\n")
            else:
                fill(url, 2000, paths)
            for what in ("read", "create"):
                fewer, more = (_counted(url, what, paths, rounds) for rounds in (FEWER, MORE))
                told[f"{name}, {what}"] = (more - fewer) // ((MORE - FEWER) * AT_ONCE)
                print(f"{name}, {what}: {told[f'{name}, {what}']:,} instructions", flush=True)
    (asked.out / "instructions.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    url, what, rounds, listed = sys.argv[1:]
    reads = [b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), _HEAD) for path in Path(listed).read_text().split()]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        asked = cycle(reads if what == "read" else [_POST])
        runner.run(_run(url, asked, int(rounds), Path(listed).with_name("logs")))
