"""The only module of the client that does I/O: httpx, with bounded responses and without links in its logs."""

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from os import PathLike
from typing import Any

import httpx

from messaging_api.client.protocol import HttpRequest, HttpResponse, TransportFailure
from messaging_api.client.proxies import Proxies

MAX_RESPONSE_BYTES = 97 * 2**20
"""Six times the longest message that a server can be configured to accept, because JSON may escape each byte of it."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_POOLED = httpx.Limits(max_connections=100, max_keepalive_connections=20)
_UNPOOLED = httpx.Limits(max_keepalive_connections=0)
"""A new connection for each request. The server may close an idle connection at the moment it is reused, and then
nobody knows whether the request arrived: too risky for one that must not be repeated."""
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
)
"""What OpenSSL calls a response that is not TLS."""
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")

_suppressed: ContextVar[bool] = ContextVar("suppressed", default=False)


class SyncTransport:
    """Connections for blocking requests."""

    def __init__(self, ca: str | PathLike[str] | None, timeout: float, headers: Mapping[str, str]) -> None:
        self._open: Callable[..., httpx.Client] = partial(httpx.Client, **_options(ca, headers))
        self._timeout = timeout
        self._proxies = Proxies()
        self._clients: dict[tuple[str | None, bool], httpx.Client] = {}
        self._lock = threading.Lock()
        _install_log_filter()

    def send(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        """Send a request once and return its outcome. Raise BadProxy."""
        http, begin = self._client(request), time.monotonic()
        try:
            with _suppress_logs(), http.stream(**_httpx_arguments(request, self._timeout)) as response:
                body = _BodyReader()
                for chunk in response.iter_raw():
                    body.add(chunk)
                return HttpResponse(response.status_code, response.headers, body.content)
        except httpx.TransportError as error:
            return _failure(error, time.monotonic() - begin)

    def close(self) -> None:
        """Close all connections."""
        for http in self._clients.values():
            http.close()

    def _client(self, request: HttpRequest) -> httpx.Client:
        key = self._proxies.proxy_for(request.url), request.repeatable
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._open(proxy=key[0], limits=_POOLED if request.repeatable else _UNPOOLED)
            return self._clients[key]


class AsyncTransport:
    """Connections for requests from an asyncio event loop."""

    def __init__(self, ca: str | PathLike[str] | None, timeout: float, headers: Mapping[str, str]) -> None:
        self._open: Callable[..., httpx.AsyncClient] = partial(httpx.AsyncClient, **_options(ca, headers))
        self._timeout = timeout
        self._proxies = Proxies()
        self._clients: dict[tuple[str | None, bool], httpx.AsyncClient] = {}
        _install_log_filter()

    async def send(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        """Send a request once and return its outcome. Raise BadProxy."""
        http, begin = self._client(request), time.monotonic()
        try:
            with _suppress_logs():
                async with http.stream(**_httpx_arguments(request, self._timeout)) as response:
                    body = _BodyReader()
                    async for chunk in response.aiter_raw():
                        body.add(chunk)
                    return HttpResponse(response.status_code, response.headers, body.content)
        except httpx.TransportError as error:
            return _failure(error, time.monotonic() - begin)

    async def aclose(self) -> None:
        """Close all connections."""
        for http in self._clients.values():
            await http.aclose()

    def _client(self, request: HttpRequest) -> httpx.AsyncClient:
        key = self._proxies.proxy_for(request.url), request.repeatable
        if key not in self._clients:
            self._clients[key] = self._open(proxy=key[0], limits=_POOLED if request.repeatable else _UNPOOLED)
        return self._clients[key]


class ResponseTooLarge(httpx.ReadError):
    """A response body of more than MAX_RESPONSE_BYTES."""


class _BodyReader:
    def __init__(self) -> None:
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MAX_RESPONSE_BYTES:
            raise ResponseTooLarge("the response is too large")

    @property
    def content(self) -> bytes:
        return bytes(self._body)


def _options(ca: str | PathLike[str] | None, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return what all clients of httpx share. Raise OSError, whose filename is the file that is the reason."""
    return {"verify": _ssl_context(ca), "headers": headers, "trust_env": False}


def _ssl_context(ca: str | PathLike[str] | None) -> ssl.SSLContext:
    """Trust the certificates of that file alone, or the default ones (SSL_CERT_FILE, else certifi's). Raise OSError."""
    try:
        return httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)
    except OSError as error:
        if error.filename:  # that of SSLKEYLOGFILE, which is opened last
            raise OSError(error.errno, error.strerror, f"SSLKEYLOGFILE {error.filename}") from None
        reason = "no certificates in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise OSError(error.errno, reason, "SSL_CERT_FILE" if ca is None else str(ca)) from None


def _httpx_arguments(request: HttpRequest, timeout: float) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.body or None,
        "timeout": timeout if request.timeout is None else min(timeout, request.timeout),
    }


def _failure(error: httpx.TransportError, seconds: float) -> TransportFailure:
    """Return what an error after so many seconds means for a retry. Its reason never contains an address."""
    cause = _root_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TransportFailure("the server's certificate is not trusted", sent=False, seconds=seconds, permanent=True)
    if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
        reason = "it does not speak TLS: try http:// instead of https://"
        return TransportFailure(reason, sent=False, seconds=seconds, permanent=True)
    if isinstance(error, ResponseTooLarge):
        return TransportFailure(str(error), sent=True, seconds=seconds, permanent=True)
    if isinstance(error, httpx.TimeoutException):
        reason = "no response in time"
    elif isinstance(cause, socket.gaierror):
        reason = cause.strerror or "unknown host name"
    elif isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
        reason = os.strerror(cause.errno)  # its own text may contain the address
    elif error.request.url.scheme == "http" and "without sending a response" in str(error):
        reason = "the connection broke without a response (does this server expect https://?)"
    else:
        reason = "the connection broke"
    return TransportFailure(reason, sent=not isinstance(error, _NOT_SENT), seconds=seconds)


def _root_cause(error: BaseException) -> BaseException:
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error


@contextmanager
def _suppress_logs() -> Iterator[None]:
    """Suppress what httpx logs in this context: its lines contain links, and a plain message's link is its key."""
    token = _suppressed.set(True)
    try:
        yield
    finally:
        _suppressed.reset(token)


def _is_not_suppressed(_record: logging.LogRecord) -> bool:
    return not _suppressed.get()


def _install_log_filter() -> None:
    """Make `_suppress_logs` work. What other code does with httpx is logged as before."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_not_suppressed)
