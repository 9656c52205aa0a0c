"""The one table from error to problem (RFC 9457). Only this module knows the status numbers of errors."""

from typing import NamedTuple

from messaging_api import errors
from messaging_api.web import http_errors
from messaging_api.web.responses import HeaderBlock, Response, json_body, lines
from messaging_api.web.schemas import ProblemBody


class ProblemType(NamedTuple):
    """The response to one class of errors.

    The slug ends the problem's type. The detail is the error's own text unless it is set here. `close` ends the
    connection; `retry` says that the same request may succeed a second later.
    """

    status: int
    slug: str
    title: str
    detail: str | None = None
    close: bool = False
    retry: bool = False


TABLE: dict[type[Exception], ProblemType] = {
    errors.InvalidRequest: ProblemType(400, "invalid", "The request is not valid"),
    errors.MessageTooLarge: ProblemType(413, "too-large", "The message is too long", close=True),
    errors.IncompleteBody: ProblemType(
        408, "incomplete", "The request is incomplete", "The body ended early or took too long.", close=True
    ),
    errors.MessageNotFound: ProblemType(
        404,
        "no-message",
        "There is no message here",
        "It never existed, has expired, was read by all its readers, or was deleted.",
    ),
    errors.FormatRequired: ProblemType(
        428,
        "name-a-format",
        "This message can be read a limited number of times",
        "To read it, and spend one of its reads, send Accept: text/plain or Accept: application/json.",
    ),
    errors.IdempotencyConflict: ProblemType(
        422,
        "key-reused",
        "The Idempotency-Key was used before",
        "It was sent with a different request within the last 24 hours.",
    ),
    errors.Unauthorized: ProblemType(401, "token", "Creating a message here needs a token"),
    errors.LimitReached: ProblemType(429, "limit", "Too many requests of this kind"),
    errors.Overloaded: ProblemType(
        503, "overloaded", "The service is too busy", "Nothing was done. Try again in a moment.", retry=True
    ),
    errors.NotExecuted: ProblemType(
        503, "unavailable", "The store cannot be reached", "Nothing was done. Try again in a moment.", retry=True
    ),
    errors.OutcomeUnknown: ProblemType(
        504,
        "outcome-unknown",
        "The store did not answer in time",
        "It is unknown whether the request was carried out: a read may be spent, a message may be stored.",
    ),
    errors.StoreFull: ProblemType(507, "full", "The store is full", "There is no space for it, and nothing was done."),
    http_errors.UnknownAddress: ProblemType(
        404, "unknown-address", "There is nothing at this address", "/docs lists the addresses."
    ),
    http_errors.MethodNotAllowed: ProblemType(405, "method-not-allowed", "This address does not have this method"),
    http_errors.HeadTooLarge: ProblemType(431, "head-too-large", "The head of the request is too large", close=True),
    http_errors.UnsupportedContentEncoding: ProblemType(
        415, "content-encoding", "The body is compressed", "Send it as it is, without Content-Encoding."
    ),
    http_errors.UnsupportedTransferCoding: ProblemType(
        501,
        "transfer-coding",
        "The transfer coding is not supported",
        "Send Content-Length, or Transfer-Encoding: chunked.",
        close=True,
    ),
    http_errors.PlainHttp: ProblemType(
        403,
        "plain-http",
        "This service speaks https only",
        "This request was sent unencrypted: others may have read its link or message. Use https from now on.",
        close=True,
    ),
    http_errors.HttpsRequired: ProblemType(
        400, "https-required", "This port speaks https", "Use https:// in place of http:// in the address.", close=True
    ),
    Exception: ProblemType(
        500, "unexpected", "An unexpected error occurred", "The log has the error under the id of this request."
    ),
}


class Problem(NamedTuple):
    """One error, ready to be shown as JSON or as a page: its own header lines, and its code for logs and metrics.

    `advice` is a command that works, for the end of the detail, with {url} for the service and {link} for the request.
    """

    type: ProblemType
    detail: str
    lines: bytes
    reason: str
    advice: str = ""


def problem_of(error: Exception) -> Problem:
    """Return the problem for `error`, from the row of its nearest class in the table."""
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    reason = f"limit_{error.kind}" if isinstance(error, errors.LimitReached) else row.slug.replace("-", "_")
    return Problem(row, row.detail or str(error), _own_lines(error, row), reason, _advice(error))


def as_json(problem: Problem) -> Response:
    """Return `problem` as application/problem+json."""
    row = problem.type
    body = json_body(ProblemBody(f"/docs#{row.slug}", row.title, row.status, problem.detail))
    return Response(row.status, _PROBLEM_JSON, body, lines=problem.lines, reason=problem.reason, close=row.close)


_PROBLEM_JSON = HeaderBlock((b"content-type", b"application/problem+json"))


def _advice(error: Exception) -> str:
    match error:
        case errors.FormatRequired():
            return " This reads it: curl -H 'Accept: text/plain' {link}"
        case http_errors.UnclearRequest() | http_errors.MethodNotAllowed() if error.command:
            return f" This works: {error.command}"
    return ""


def _own_lines(error: Exception, row: ProblemType) -> bytes:
    """Return the header lines that differ from one error of a class to the next."""
    match error:
        case http_errors.MethodNotAllowed():
            return lines([(b"allow", error.allow.encode())])
        case errors.LimitReached():
            return lines([(b"retry-after", b"%d" % error.seconds)])
        case http_errors.UnsupportedContentEncoding():
            return lines([(b"accept-encoding", b"identity")])
        case errors.Unauthorized():  # RFC 6750, section 3.1: no error code where no token was sent
            challenge = b'Bearer realm="messaging_api"'
            return lines([(b"www-authenticate", challenge + (b', error="invalid_token"' if error.sent else b""))])
    return lines([(b"retry-after", b"1")]) if row.retry else b""
