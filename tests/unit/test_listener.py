"""The HTTP server of one process on real sockets: plain and TLS, limits, timeouts and shutdown."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from messaging_api.core.pending import TaskResult
from messaging_api.errors import SettingsError
from messaging_api.observability.metrics import ProcessMetrics
from messaging_api.server import listener as listener_module
from messaging_api.server import rejected, tls
from messaging_api.server.certificates import CertificateFiles, issue, make_authority
from messaging_api.server.http1 import Application
from messaging_api.server.listener import HttpServer, Listener, ServerHandlers
from messaging_api.server.load import WorkerLoad
from messaging_api.server.sockets import bind
from messaging_api.server.timeouts import Phase, every
from messaging_api.server.tls import ReloadingCertificate
from messaging_api.web.responses import Response
from messaging_api.web.types import Request
from tests.support.connections import GET, ok, statuses, worker_load
from tests.support.requests import header_fields

NOW = dt.datetime.now(dt.UTC)
AUTHORITY = make_authority(NOW, 2)


class Served:
    """A running server: where it listens, its load and metrics, and how to stop it."""

    def __init__(self, port: int, load: WorkerLoad, metrics: ProcessMetrics, alive: int) -> None:
        self.port = port
        self.load = load
        self.metrics = metrics
        self.events: list[tuple[str, dict[str, object]]] = []
        self._alive: int | None = alive

    def on_event(self, event: str, _level: str = "info", **fields: object) -> None:
        self.events.append((event, fields))

    def orphan(self) -> None:
        """Close the end of the pipe that the supervisor holds."""
        if self._alive is not None:
            os.close(self._alive)
        self._alive = None

    async def connect(self, context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if context is not None else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name)

    async def ask(self, request: bytes = GET, context: ssl.SSLContext | None = None) -> bytes:
        """Return what a new connection gives for `request` until it ends."""
        reader, writer = await self.connect(context)
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving(
    application: Application = ok,
    certificate: ReloadingCertificate | None = None,
    timeouts: Mapping[Phase, float] = {},
    **limits: int,
) -> AsyncIterator[Served]:
    """Serve on a free port; the server is stopped at the end of the block, if it was not before."""
    load, metrics = worker_load(**limits)
    listening = bind("127.0.0.1", 0)
    listening.setblocking(False)  # noqa: FBT003 the name of the method says it
    alive, parent = os.pipe()
    served = Served(listening.getsockname()[1], load, metrics, parent)
    times = {Phase.HEAD: 10.0, **timeouts}
    server = HttpServer([Listener(listening, application, certificate)], load, times, ServerHandlers(served.on_event))
    running = asyncio.create_task(server.run(alive))
    await asyncio.sleep(0)
    try:
        yield served
    finally:
        served.orphan()
        await asyncio.wait_for(running, 10)
        os.close(alive)
        listening.close()


def in_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in the loop that the service uses."""

    def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(listener_module, "_CHECK", 0.05)
        monkeypatch.setattr(tls, "_LAST_HANDSHAKES", 0.1)
        monkeypatch.setattr(rejected, "LINGER", 0.2)
        uvloop.run(test(tmp_path))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def certificate_in(folder: Path, serial_of: CertificateFiles | None = None) -> tuple[ReloadingCertificate, Path]:
    """Write a certificate for localhost to `folder`, or another one over it, and load it."""
    new = serial_of or issue(AUTHORITY, ["localhost"], NOW, 1)
    paths = folder / "server.pem", folder / "server.key"
    for path in paths:
        path.unlink(missing_ok=True)
    new.save(*paths)
    return ReloadingCertificate(str(paths[0]), str(paths[1])), paths[0]


def trusting(folder: Path) -> ssl.SSLContext:
    AUTHORITY.save(folder / "ca.pem", folder / "ca.key")
    return ssl.create_default_context(cafile=str(folder / "ca.pem"))


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, for 10 seconds at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@in_uvloop
async def test_serves_until_the_parent_is_gone(folder: Path) -> None:
    """Responses have the current date; when the pipe closes, the server ends."""
    async with serving() as served:
        data = await served.ask(CLOSING)
        fields = header_fields(data.partition(b"\r\n")[2].partition(b"\r\n\r\n")[0])
        age = dt.datetime.now(dt.UTC) - parsedate_to_datetime(fields[b"date"].decode())
        assert dt.timedelta(0) <= age < dt.timedelta(seconds=5)
        assert statuses(data) == [200]


@in_uvloop
async def test_requests_in_flight_are_finished_on_sigterm(folder: Path) -> None:
    """Clients that have connected already are served, too; then the server ends."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        await TaskResult(release.wait())
        return await ok(request)

    async with serving(slow) as served:
        first = asyncio.create_task(served.ask())
        await begun.wait()
        waiting = socket.create_connection(("127.0.0.1", served.port))
        waiting.sendall(GET)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: len(served.load.connections) == 2)
        release.set()
        assert statuses(await first) == [200]
        waiting.setblocking(False)  # noqa: FBT003 the name of the method says it
        data = await asyncio.get_running_loop().sock_recv(waiting, 4096)
        assert (statuses(data), b"connection: close" in data) == ([200], True)
        waiting.close()
        await until(lambda: not served.load.connections)


@in_uvloop
async def test_timeouts_are_checked(folder: Path) -> None:
    """A client that sends nothing, and one that keeps an idle connection, are disconnected in time."""
    async with serving(timeouts={Phase.HEAD: 0.1, Phase.IDLE: 0.1}) as served:
        assert await served.ask(b"") == b""
        assert statuses(await served.ask()) == [200]
        assert await served.ask(GET[:10]) == b""
        assert served.metrics.get("messaging_refusals", "slow_head") == 1


@in_uvloop
async def test_connections_over_the_limit_get_503(folder: Path) -> None:
    """They get 503 when they send something, or are closed after a while; the others are served."""
    async with serving(max_connections=1) as served:
        reader, writer = await served.connect()
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        assert statuses(await served.ask()) == [503]
        silent, its_writer = await served.connect()
        await until(lambda: served.load.rejected)
        flooding, another_writer = await served.connect()
        with contextlib.suppress(ConnectionError):  # so many are told, and no more
            assert await flooding.read() == b""
        with contextlib.suppress(ConnectionError):
            assert await silent.read() == b""
        assert not served.load.rejected
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        assert served.metrics.get("messaging_refusals", "connections") == 3
        for one in (writer, its_writer, another_writer):
            one.close()


@in_uvloop
async def test_tls_requires_1_2_and_a_trusted_certificate(folder: Path) -> None:
    """A client that does not trust the certificate, or speaks HTTP, is counted and gets a response."""
    certificate, _ = certificate_in(folder)
    context = trusting(folder)
    async with serving(certificate=certificate) as served:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.maximum_version = version
            data = await served.ask(CLOSING, context)
            assert statuses(data) == [200]
            assert b"\r\nstrict-transport-security: " in data
        plain = await served.ask()
        assert statuses(plain) == [400]
        assert b"https-required" in plain
        with pytest.raises(ssl.SSLError):
            await served.ask(GET, ssl.create_default_context())
        await until(lambda: served.metrics.get("messaging_refusals", "tls_failed") == 1)
        assert served.metrics.get("messaging_refusals", "https_required") == 1


@in_uvloop
async def test_slow_handshakes_are_ended(folder: Path) -> None:
    """A client that sends nothing after connecting is disconnected in time; so is one whose handshake stops."""
    certificate, _ = certificate_in(folder)
    async with serving(certificate=certificate, timeouts={Phase.HEAD: 0.1}) as served:
        assert await served.ask(b"") == b""
        assert await served.ask(b"\x16") == b""
        await until(lambda: served.metrics.get("messaging_refusals", "tls_failed") == 2)


@in_uvloop
async def test_handshakes_are_limited(folder: Path) -> None:
    """Unfinished handshakes are limited like connections, and end with the server."""
    certificate, _ = certificate_in(folder)
    async with serving(certificate=certificate, max_connections=1) as served:
        reader, writer = await served.connect()
        with contextlib.suppress(ConnectionError):
            assert await served.ask(b"") == b""
        assert served.metrics.get("messaging_refusals", "connections") == 1
        served.orphan()
        assert await reader.read() == b""
        writer.close()


@in_uvloop
async def test_certificate_is_renewed(folder: Path) -> None:
    """New connections get the new certificate; files that cannot be used leave the old one, and are logged."""
    certificate, path = certificate_in(folder)
    context = trusting(folder)

    async def serial() -> int:
        _, writer = await served.connect(context)
        shown = writer.get_extra_info("peercert")
        writer.close()
        return int(shown["serialNumber"], 16)

    async with serving(certificate=certificate) as served:
        before = await serial()
        renewed = issue(AUTHORITY, ["localhost"], NOW, 1)
        certificate_in(folder, renewed)
        await until(lambda: served.events)
        assert served.events.pop()[0] == "tls_renewed"
        assert await serial() == renewed.certificate.serial_number != before
        path.write_text("nonsense")
        await until(lambda: served.events)
        event, fields = served.events.pop()
        assert event == "tls_kept"
        assert "nonsense" not in str(fields)
        assert await serial() == renewed.certificate.serial_number
        path.unlink()
        await until(lambda: served.events)
        assert served.events.pop() == ("tls_kept", {"reason": "No such file or directory"})


def test_certificate_is_loaded_before_the_first_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restarted process, which has the certificate of its parent's start, shows nobody that old one."""
    monkeypatch.setattr(listener_module, "_CHECK", 1000.0)
    certificate, _ = certificate_in(tmp_path)
    context = trusting(tmp_path)
    renewed = issue(AUTHORITY, ["localhost"], NOW, 1)
    certificate_in(tmp_path, renewed)

    async def main() -> None:
        async with serving(certificate=certificate) as served:
            _, writer = await served.connect(context)
            shown = writer.get_extra_info("peercert")
            writer.close()
            assert int(shown["serialNumber"], 16) == renewed.certificate.serial_number
            assert served.events[0][0] == "tls_renewed"

    uvloop.run(main())


def test_invalid_certificate_prevents_the_start(tmp_path: Path) -> None:
    """The service does not start without a valid certificate."""
    with pytest.raises(SettingsError, match="No such file"):
        ReloadingCertificate(str(tmp_path / "a"), str(tmp_path / "b"))


def test_occupied_port_prevents_the_start() -> None:
    """The service does not start when another process listens there."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SettingsError, match="Cannot listen"):
        bind("127.0.0.1", other.getsockname()[1])


def test_every_pauses_before_each_call() -> None:
    """It ends with an error of what it calls."""
    calls: list[None] = []

    def act() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise ZeroDivisionError

    async def main() -> None:
        running = asyncio.create_task(every(0.0, act))
        await asyncio.sleep(0)
        assert calls == []
        with pytest.raises(ZeroDivisionError):
            await running

    asyncio.run(main())
    assert len(calls) == 3
