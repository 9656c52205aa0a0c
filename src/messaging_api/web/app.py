"""The ASGI application: which addresses there are, and what every request passes on its way.

    client, request id → route → guard → handler → problem details → security headers → answer → log line, metrics

Written at the level of ASGI, without a framework's request and response objects; `docs/adr/` says what that saves.
Answers are handed over whole (`http.WHOLE`).
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from messaging_api.errors import LimitReached, MessageNotFound, MessagingError, StoreError, StoreFull
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger, request_id, where
from messaging_api.observability.metrics import METHODS, ProcessMetrics
from messaging_api.web.admission import Admission
from messaging_api.web.handlers import Handlers
from messaging_api.web.problems import MethodNotAllowed, UnknownAddress, problem
from messaging_api.web.types import WHOLE, Handler, Header, Receive, Request, Response, Scope, Send, joined

SECURITY: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"permissions-policy", b"interest-cohort=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""On every answer (OWASP REST Security Cheat Sheet), unless the answer brings its own of that name."""

HSTS: Header = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
"""On every answer over TLS (RFC 6797, section 7.2: never over plain HTTP)."""


class Operation(NamedTuple):
    """What answers a method at an address, and what is asked before it."""

    handler: Handler
    admit: Callable[[Request], None] = lambda _: None


class Route(NamedTuple):
    """An address. `label` names it in logs and metrics, without what was asked for."""

    label: str
    methods: dict[str, Operation]

    def operation(self, method: str) -> Operation:
        """What answers `method`. Raises UnknownAddress, MethodNotAllowed."""
        if method in self.methods:
            return self.methods[method]
        raise MethodNotAllowed(", ".join(self.methods)) if self.methods else UnknownAddress


def _route(label: str, **methods: Operation) -> Route:
    head = {"HEAD": methods["GET"]} if "GET" in methods else {}
    return Route(label, {**methods, **head})


_OTHER = Route("other", {})


class App:
    """The application over `handlers`, behind `guard`; tells `logger` and `metrics` of every request, or `audit`."""

    def __init__(
        self, handlers: Handlers, guard: Admission, audit: AuditLog, logger: JsonLogger, metrics: ProcessMetrics
    ) -> None:
        self._guard = guard
        self._refused = handlers.refused
        self._clients = guard.clients
        self._cors = guard.cors
        self._audit = audit
        self._logger = logger
        self._metrics = metrics
        self._ids = _request_ids()
        look_up = guard.look_up
        self._fixed = {
            "/": _route("/", GET=Operation(handlers.describe), POST=Operation(handlers.post, guard.create)),
            "/openapi.json": _route("/openapi.json", GET=Operation(handlers.contract)),
            "/docs": _route("/docs", GET=Operation(handlers.docs)),
        }
        receipt = {"GET": Operation(handlers.receipt, look_up), "DELETE": Operation(handlers.burn, look_up)}
        self._named = {
            "/msg": _route("/msg", GET=Operation(handlers.read, look_up)),
            "/receipt": _route("/receipt", **receipt),
            "/assets": _route("/assets", GET=Operation(handlers.asset)),
        }

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Serve one request (ASGI 3, with the extension `http.WHOLE`)."""
        begin = time.perf_counter()
        request = Request(scope, receive, next(self._ids), self._clients.of(scope))
        request_id.set(request.request_id)
        route, name = self.find(request.path)
        try:
            if request.method == "OPTIONS" and self._cors is not None and route.methods:
                response = self._cors.preflight(request, route.methods)
            else:
                handler, admit = route.operation(request.method)
                admit(request)
                response = await handler(request, name)
        except MessagingError as error:
            response = problem(await self._noted(request, error))
        except Exception as error:  # noqa: BLE001 the outermost edge: whatever it is, the client gets an answer
            self._logger.event("unexpected", "error", **where(error))
            response = problem(error)
        if response.reason is not None:
            response = self._refused(request, response)
        if self._cors is not None:
            response = response._replace(extra=(*response.extra, *self._cors.fields(request)))
        body = response.body if request.method != "HEAD" else b""
        lines = header_lines(response, request.scope["scheme"], request.request_id, self._guard.quota_lines(request))
        await scope["extensions"][WHOLE](response.status, lines, body)
        self._tell(request, route, response, time.perf_counter() - begin)

    def find(self, path: str) -> tuple[Route, str]:
        """The route of `path`, and what it names there: /msg/<name>."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, ""
        head, _, name = path.rpartition("/")
        return self._named.get(head, _OTHER), name

    async def _noted(self, request: Request, error: MessagingError) -> MessagingError:
        """What to tell the client: of a look-up that found nothing, perhaps that it was one too many."""
        if isinstance(error, MessageNotFound):
            try:
                await request.permit.record_miss()
            except LimitReached as too_many:
                return too_many
        if isinstance(error, StoreError):
            reason = "full" if isinstance(error, StoreFull) else "unavailable"
            self._metrics.count("messaging_store_failures", reason)
            self._audit.failed("store_failed", reason, request.client.address, detail=str(error))
        return error

    def _tell(self, request: Request, route: Route, response: Response, seconds: float) -> None:
        method = request.method if request.method in METHODS else "other"
        self._metrics.answered(route.label, method, response.status, seconds)
        if response.event is not None:
            self._metrics.count("messaging_messages", response.event)
        if response.reason is not None:
            self._audit.rejected(
                response.reason,
                request.client.address,
                method=method,
                route=route.label,
                status=response.status,
                ms=round(seconds * 1000, 3),
            )
            return
        tag = f'"{response.tag}"' if response.tag else "null"
        self._logger.request(
            request.request_id,
            f'"client":"{request.client.address}","method":"{method}","route":"{route.label}",'
            f'"status":{response.status},"bytes":{len(response.body)},"ms":{_ms(seconds)},"message":{tag}',
        )


_THOUSANDTHS = tuple(f".{number:03}" for number in range(1000))


def _ms(seconds: float) -> str:
    """Milliseconds with three decimals, at half the cost of formatting a float."""
    whole, thousandths = divmod(int(seconds * 1e6), 1000)
    return f"{whole}{_THOUSANDTHS[thousandths]}"


def header_lines(response: Response, scheme: str, own_id: str, more: bytes = b"") -> bytes:
    """All header lines of an answer to the request `own_id`, with `more` lines among them."""
    return b"%b%b%bcontent-length: %d\r\nx-request-id: %b\r\n" % (
        _fixed_lines(response.headers, scheme),
        joined(response.extra) if response.extra else b"",
        more,
        len(response.body),
        own_id.encode(),
    )


@lru_cache(256)
def _fixed_lines(headers: tuple[Header, ...], scheme: str) -> bytes:
    """What answers of one kind have in common, made once."""
    own = {name for name, _ in headers}
    security = [header for header in SECURITY if header[0] not in own]
    return joined([*headers, *security, *((HSTS,) if scheme == "https" else ())])


def _request_ids() -> Iterator[str]:
    """16 hex digits each; the system is asked for randomness once for 512 of them."""
    while True:
        some = os.urandom(8 * 512).hex()
        yield from (some[start : start + 16] for start in range(0, len(some), 16))
