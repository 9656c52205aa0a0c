"""The one table from error to answer. Everything that is not 200 is application/problem+json (RFC 9457)."""

from typing import NamedTuple

import msgspec

from messaging_api import errors
from messaging_api.errors import MessagingError
from messaging_api.web.schemas import ProblemBody
from messaging_api.web.types import Header, Response


class UnknownAddress(MessagingError):
    """No such address."""


class MethodNotAllowed(MessagingError):
    """The address is there, the method is not; `allow` names those that are."""

    def __init__(self, allow: str) -> None:
        super().__init__(f"This address has {allow}.")
        self.allow = allow


class PlainHttp(MessagingError):
    """Something was asked in clear that must not be."""


class HeadTooLarge(MessagingError):
    """The head of the request is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Request line and headers may have at most {limit} bytes.")


class ProblemType(NamedTuple):
    """How an error is told: the slug ends the problem's type. The detail is the error's own text unless given here."""

    status: int
    slug: str
    title: str
    detail: str | None = None
    headers: tuple[Header, ...] = ()


_PROBLEM = (b"content-type", b"application/problem+json")
_CLOSE = (b"connection", b"close")
_SOON = (b"retry-after", b"1")

TABLE: dict[type[Exception], ProblemType] = {
    errors.InvalidRequest: ProblemType(400, "invalid", "The request cannot be understood"),
    errors.MessageTooLarge: ProblemType(413, "too-large", "The message is too long", headers=(_CLOSE,)),
    errors.IncompleteBody: ProblemType(
        408, "incomplete", "The request did not arrive", "Its body broke off or took too long.", (_CLOSE,)
    ),
    errors.MessageNotFound: ProblemType(
        404,
        "no-message",
        "There is no message here",
        "It never was here, has expired, has been read by all its readers, or was burned.",
    ),
    errors.FormatRequired: ProblemType(
        428,
        "name-a-format",
        "This message can be read a limited number of times",
        "To read it, and spend one of its reads, send Accept: text/plain or Accept: application/json.",
    ),
    errors.IdempotencyConflict: ProblemType(
        422, "key-reused", "The Idempotency-Key was used before", "It came within 24 hours with another request."
    ),
    errors.Unauthorized: ProblemType(401, "token", "Only those with a token may create here"),
    errors.LimitReached: ProblemType(429, "limit", "Too many requests of this kind"),
    errors.Overloaded: ProblemType(503, "overloaded", "Too busy right now", "Try again in a moment.", (_SOON,)),
    errors.StoreUnavailable: ProblemType(
        503, "unavailable", "The store is out of reach", "Nothing is half done. Try again in a moment.", (_SOON,)
    ),
    errors.StoreFull: ProblemType(507, "full", "The store is full", "The message was not kept."),
    UnknownAddress: ProblemType(
        404, "unknown-address", "There is nothing here", "See /docs for the addresses there are."
    ),
    PlainHttp: ProblemType(
        403,
        "plain-http",
        "This service speaks https only",
        "What was just sent went in clear: consider its link or message read by others, and use https from now on.",
        (_CLOSE,),
    ),
    HeadTooLarge: ProblemType(431, "head-too-large", "The head of the request is too long", headers=(_CLOSE,)),
    MethodNotAllowed: ProblemType(405, "method-not-allowed", "This address does not have this method"),
    Exception: ProblemType(
        500, "unexpected", "Something went wrong here", "It is in the log under the id of this request."
    ),
}

INTERNAL = (errors.SettingsError,)
"""Errors that can only happen before there is anyone to answer."""


def problem(error: Exception) -> Response:
    """The answer that tells `error`: by the nearest of its classes that has a row."""
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    body = msgspec.json.encode(ProblemBody(f"/docs#{row.slug}", row.title, row.status, row.detail or str(error)))
    return Response(row.status, (_PROBLEM, *row.headers), body, extra=_of_this(error), reason=_reason(row, error))


def _of_this(error: Exception) -> tuple[Header, ...]:
    """The header fields that differ from one error of a kind to the next."""
    match error:
        case MethodNotAllowed():
            return ((b"allow", error.allow.encode()),)
        case errors.LimitReached():
            return ((b"retry-after", b"%d" % error.seconds),)
        case errors.Unauthorized():  # RFC 6750, section 3.1: no error code where no token was sent
            challenge = b'Bearer realm="messaging_api"'
            return ((b"www-authenticate", challenge + (b', error="invalid_token"' if error.sent else b"")),)
    return ()


def _reason(row: ProblemType, error: Exception) -> str:
    """The code of `error` in logs and metrics."""
    return f"limit_{error.kind}" if isinstance(error, errors.LimitReached) else row.slug.replace("-", "_")
