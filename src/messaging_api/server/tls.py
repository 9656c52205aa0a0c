"""TLS 1.2 and 1.3 (RFC 9325): the certificate, and the handshakes."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography import x509

from messaging_api.errors import SettingsError
from messaging_api.server.load import WorkerLoad
from messaging_api.server.rejected import plain_on_tls_port

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: ciphers with forward secrecy and authentication only. All ciphers of TLS 1.3 have both."""
_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection: a record of the type handshake (RFC 8446, section 5.1)."""
_SHUTDOWN = 5.0
"""Seconds that a client has to confirm the end of a connection."""
_ACCEPTED_AT_ONCE = 16
"""Connections that are accepted in one turn of the loop."""
_LAST_HANDSHAKES = 2.0
"""Seconds that handshakes under way get when the service stops."""
_PAUSE = 0.5
"""Seconds without accepting when this process has no descriptor left."""

_Signature = tuple[tuple[int, int, int], ...]


class ReloadingCertificate:
    """A certificate chain and its key, from PEM files that are read again whenever they change.

    A handshake uses the current `context`; open connections keep theirs. It is loaded before processes are forked, so
    that a restarted process has a pair that works, whatever the files contain by then. Raises SettingsError.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._paths = certificate, key
        self._signature = self._sign()
        try:
            self.context = _context(*self._paths)
        except (OSError, ValueError) as error:
            raise SettingsError(f"tls_cert and tls_key cannot be used: {_reason(error)}.") from None

    def refresh(self, on_event: Callable[..., None]) -> None:
        """Load the files again if they changed, and keep the old pair if they cannot be used.

        `on_event` gets the name and the fields of what happened.
        """
        signature = self._sign()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            context, expires = _context(*self._paths), _last_day(self._paths[0])
        except (OSError, ValueError) as error:
            on_event("tls_kept", "error", reason=_reason(error))
        else:
            self.context = context
            on_event("tls_renewed", expires=expires)

    def _sign(self) -> _Signature:
        """Return values that change when a file is written or replaced."""
        with contextlib.suppress(OSError):
            found = [os.stat(path) for path in self._paths]  # noqa: PTH116
            return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)
        return ()


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_TICKET  # the key of tickets lives as long as the process: it would open recordings
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, password="")
    return context


def _last_day(certificate: str) -> str:
    return f"{x509.load_pem_x509_certificate(Path(certificate).read_bytes()).not_valid_after_utc:%Y-%m-%d}"


def _reason(error: Exception) -> str:
    """Return a code for logs, without data from a file or a client."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


class TlsServer:
    """A server on `listener` that connects `protocol` to clients whose handshake succeeds within `seconds`.

    Unfinished handshakes are limited to the number of connections allowed; asyncio's own server would not count them. A
    client that speaks plain HTTP gets a response that says to use https.
    """

    def __init__(
        self,
        listener: socket.socket,
        certificate: ReloadingCertificate,
        protocol: Callable[[], asyncio.Protocol],
        load: WorkerLoad,
        seconds: float,
    ) -> None:
        self._listener = listener
        self._certificate = certificate
        self._protocol = protocol
        self._load = load
        self._seconds = seconds
        self._handshakes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._descriptor = listener.fileno()
        self._resume()

    def close(self) -> None:
        """Stop accepting, and end unfinished handshakes: their clients have sent no request yet."""
        self._closed = True
        self._loop.remove_reader(self._descriptor)
        for handshake in tuple(self._handshakes):
            handshake.cancel()

    async def accept_all(self) -> None:
        """Accept the clients that have already connected, if their handshakes succeed soon, and no others."""
        self._closed = True
        self._loop.remove_reader(self._descriptor)
        with contextlib.suppress(OSError):
            while True:
                self._begin(*self._listener.accept())
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=_LAST_HANDSHAKES)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._descriptor, self._accept)

    def _accept(self) -> None:
        try:
            for _ in range(_ACCEPTED_AT_ONCE):
                self._begin(*self._listener.accept())
        except BlockingIOError:
            pass
        except OSError:  # no descriptor left: the socket would stay readable, and the loop busy
            self._loop.remove_reader(self._descriptor)
            self._loop.call_later(_PAUSE, self._resume)

    def _begin(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        if len(self._handshakes) >= self._load.max_connections:
            self._load.audit.rejected("connections", address[0], request_id=None)
            accepted.close()
            return
        task = self._loop.create_task(self._connect(accepted, address[0]))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _connect(self, accepted: socket.socket, client: str) -> None:
        accepted.setblocking(False)  # noqa: FBT003 the name of a method of sockets says it
        try:
            async with asyncio.timeout(self._seconds):
                first = await self._peek(accepted)
            if first and first != _HANDSHAKE:
                await self._loop.connect_accepted_socket(partial(plain_on_tls_port, self._load), accepted)
                return
            await self._loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._certificate.context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_SHUTDOWN,
            )
        except OSError as error:  # TimeoutError is one
            self._load.audit.rejected("tls_failed", client, detail=_reason(error), request_id=None)
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def _peek(self, accepted: socket.socket) -> bytes:
        """Return the first byte that the client sends, without taking it; b"" for a client that closes."""
        readable = asyncio.Event()
        self._loop.add_reader(accepted, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(accepted)
        return accepted.recv(1, socket.MSG_PEEK)
