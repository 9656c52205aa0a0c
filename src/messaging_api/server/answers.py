"""Answers that are given before, or instead of, the application's."""

import os

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from messaging_api.errors import Overloaded
from messaging_api.web.app import header_lines
from messaging_api.web.problems import problem
from messaging_api.web.types import WHOLE, Receive, Response, Scope, Send


def last_words(error: Exception, request_id: str, *, secure: bool) -> bytes:
    """The bytes that tell `error`, as any other problem, and end the connection."""
    response = problem(error)
    lines = header_lines(response, "https" if secure else "http", request_id)
    close = b"" if b"connection: close" in lines else b"connection: close\r\n"
    return b"%b%b%b\r\n%b" % (STATUS_LINE[response.status], lines, close, response.body)


async def overloaded(scope: Scope, _receive: Receive, _send: Send) -> None:
    """The application of a worker that has enough to do."""
    await respond(scope, problem(Overloaded()), new_id())


async def respond(scope: Scope, response: Response, request_id: str) -> None:
    """Answer the request of `scope`, on which `whole` is offered."""
    body = response.body if scope["method"] != "HEAD" else b""
    await scope["extensions"][WHOLE](response.status, header_lines(response, scope["scheme"], request_id), body)


def new_id() -> str:
    """A request id."""
    return os.urandom(8).hex()
