"""What both shells need of httpx: which failures mean what, answers of bounded size, and no links in its logs."""

import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from typing import Any

import httpx

from messaging_api.client.protocol import HttpRequest, HttpResponse, TransportFailure

MAX_RESPONSE_BYTES = 32 * 2**20
"""Bytes; twice the longest message that a service can be set to keep."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_asking: ContextVar[bool] = ContextVar("asking", default=False)
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")


UNPOOLED = httpx.Limits(max_keepalive_connections=0)
"""A connection for each request. One that was kept may have been closed by the server the moment it is used again, and
then nobody knows whether the request got there: too risky for one that must not be repeated."""


def create_ssl_context(ca: str | PathLike[str] | None) -> ssl.SSLContext:
    """The certificates of that file alone, or the usual ones (SSL_CERT_FILE, else certifi's). Raises OSError."""
    return httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)


class ResponseTooLarge(httpx.ReadError):
    """An answer that is longer than any that could be meant."""


class BodyReader:
    """An answer's body as it comes in."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take a part. Raises ResponseTooLarge when the whole becomes too long to be meant."""
        self._body += chunk
        if len(self._body) > MAX_RESPONSE_BYTES:
            raise ResponseTooLarge("the answer is too long")

    def answer(self) -> HttpResponse:
        """The whole."""
        return HttpResponse(self._response.status_code, self._response.headers, bytes(self._body))


def httpx_kwargs(request: HttpRequest) -> dict[str, Any]:
    """The arguments of httpx' `stream`."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.body or None,
    }


def broken(error: httpx.TransportError, took: float) -> TransportFailure:
    """What a failure after so many seconds means for another try; its reason in words that hold no address."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TransportFailure("the server's certificate is not trusted", sent=False, took=took, final=True)
    if isinstance(error, ResponseTooLarge):
        return TransportFailure(str(error), sent=True, took=took, final=True)
    if isinstance(error, httpx.TimeoutException):
        reason = "no answer in time"
    elif isinstance(cause, socket.gaierror):
        reason = cause.strerror or "no such name"
    elif isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
        reason = os.strerror(cause.errno)  # its own text may hold the address
    else:
        reason = "the connection broke"
    return TransportFailure(reason, sent=not isinstance(error, _UNSENT), took=took)


def _cause(error: BaseException) -> BaseException:
    """The first failure of those that led to this one."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error


@contextmanager
def suppress_httpx_logs() -> Iterator[None]:
    """While this lasts, httpx logs nothing: its lines hold addresses, and a plain message's address is its key."""
    token = _asking.set(True)
    try:
        yield
    finally:
        _asking.reset(token)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    return not _asking.get()


def install_log_filter() -> None:
    """Make `suppress_httpx_logs` work; what others do with httpx is logged as before."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_not_ours)
