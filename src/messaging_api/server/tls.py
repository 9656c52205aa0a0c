"""TLS 1.2 and 1.3 (RFC 9325): who the service is to its clients, and the handshakes."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from messaging_api.errors import SettingsError
from messaging_api.server.load import WorkerLoad

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated only. Those of TLS 1.3 all are."""
_GOODBYE = 5.0
"""Seconds that a client has to confirm the end of a connection."""
_AT_ONCE = 16
"""Connections that are accepted in one turn of the loop."""
_LAST = 2.0
"""Seconds that handshakes under way get when the service stops."""
_PAUSE = 0.5
"""Seconds without accepting when this process has no descriptor left."""

_Signature = tuple[tuple[int, int, int], ...]


class ReloadingCertificate:
    """A certificate chain and its key, from PEM files that are read anew whenever they change.

    A handshake takes the `context` that is in force then; connections that are open keep theirs. Made before processes
    are forked, so that one which is started again has a pair that works, whatever the files hold by then. `tell` hears
    of renewals: an event and its fields. Raises SettingsError.
    """

    tell: Callable[..., None]

    def __init__(self, certificate: str, key: str) -> None:
        self._paths = certificate, key
        self._signature = self._sign()
        try:
            self.context = _context(*self._paths)
        except (OSError, ValueError) as error:
            raise SettingsError(f"tls_cert and tls_key cannot be used: {_reason(error)}.") from None

    def refresh(self) -> None:
        """Take up a renewed pair. One that is half written or does not belong together is told of and left aside."""
        signature = self._sign()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            context, expires = _context(*self._paths), _last_day(self._paths[0])
        except (OSError, ValueError) as error:
            self.tell("tls_kept", "error", reason=_reason(error))
        else:
            self.context = context
            self.tell("tls_renewed", expires=expires)

    def _sign(self) -> _Signature:
        """What changes when a file is written, or another is put in its place."""
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
    context.options |= (
        ssl.OP_NO_TICKET
    )  # a ticket's key, which lives as long as the process, would open what was recorded
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, password="")
    return context


def _last_day(certificate: str) -> str:
    return f"{x509.load_pem_x509_certificate(Path(certificate).read_bytes()).not_valid_after_utc:%Y-%m-%d}"


def _reason(error: Exception) -> str:
    """A code for logs, without what a file or a client said."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


class TlsListener:
    """Accepts on `listener`, and hands `protocol` the connections whose handshake succeeded within `seconds`.

    Handshakes under way are counted here, as a server of asyncio would not: so many as connections may be.
    """

    def __init__(
        self,
        listener: socket.socket,
        identity: ReloadingCertificate,
        protocol: Callable[[], asyncio.Protocol],
        gate: WorkerLoad,
        seconds: float,
    ) -> None:
        self._listener = listener
        self._identity = identity
        self._protocol = protocol
        self._gate = gate
        self._seconds = seconds
        self._handshakes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._descriptor = listener.fileno()
        self._resume()

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        self._loop.remove_reader(self._descriptor)

    async def wait_closed(self) -> None:
        """End the handshakes under way: whoever asks in them has asked for nothing yet."""
        for handshake in tuple(self._handshakes):
            handshake.cancel()

    async def accept_all(self) -> None:
        """Those who connected already, as far as they shake hands at once."""
        with contextlib.suppress(OSError):
            while True:
                self._take(*self._listener.accept())
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=_LAST)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._descriptor, self._accept)

    def _accept(self) -> None:
        try:
            for _ in range(_AT_ONCE):
                self._take(*self._listener.accept())
        except BlockingIOError:
            pass
        except OSError:  # no descriptor left: the socket would stay readable, and the loop busy
            self._loop.remove_reader(self._descriptor)
            self._loop.call_later(_PAUSE, self._resume)

    def _take(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        if len(self._handshakes) >= self._gate.max_connections:
            self._gate.audit.rejected("connections", address[0], request_id=None)
            accepted.close()
            return
        task = self._loop.create_task(self._shake_hands(accepted, address[0]))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, accepted: socket.socket, client: str) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._identity.context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_GOODBYE,
            )
        except OSError as error:
            self._gate.audit.rejected("tls_failed", client, detail=_reason(error), request_id=None)
