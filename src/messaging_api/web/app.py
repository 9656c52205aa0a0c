"""The application: the steps that every request takes.

    client → route → handler → problem → CORS and quota header lines → metrics, log line → response

It has no sockets: `server/http1.py` passes it requests and sends its responses.
"""

import asyncio
import time

from messaging_api.errors import MessagingError, OutcomeUnknown, StoreError, StoreFull
from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import JsonLogger, where
from messaging_api.observability.metrics import METHODS, ProcessMetrics
from messaging_api.observability.timestamps import format_milliseconds
from messaging_api.web.admission import Admission
from messaging_api.web.cors import Cors
from messaging_api.web.handlers import Handlers
from messaging_api.web.problems import problem_of
from messaging_api.web.responses import HeaderBlock, Response, lines
from messaging_api.web.routes import Route, Router
from messaging_api.web.trusted_proxies import TrustedProxies
from messaging_api.web.types import Request


class App:
    """The application over `handlers`, which logs and counts every request. `cors` is None if CORS is off."""

    def __init__(  # noqa: PLR0913 its parts
        self,
        *,
        handlers: Handlers,
        admission: Admission,
        proxies: TrustedProxies,
        cors: Cors | None,
        audit: AuditLog,
        logger: JsonLogger,
        metrics: ProcessMetrics,
    ) -> None:
        self.router = Router(handlers)
        self._handlers = handlers
        self._admission = admission
        self._proxies = proxies
        self._cors = cors
        self._audit = audit
        self._logger = logger
        self._metrics = metrics

    async def __call__(self, request: Request) -> Response:
        """Serve one request."""
        begin = time.perf_counter()
        self._proxies.resolve(request)
        route, name = self.router.find(request.path)
        try:
            if request.method == "OPTIONS" and (options := self._options(request, route)) is not None:
                response = options
            else:
                response = await route.handler(request.method)(request, name)
        except MessagingError as error:
            response = self._failed(request, error)
        except Exception as error:  # noqa: BLE001 the outermost edge: the client gets a response whatever the error is
            self._logger.event("unexpected", "error", request_id=request.request_id, **where(error))
            response = self._handlers.problem(request, problem_of(error))
        except (GeneratorExit, asyncio.CancelledError):  # the latter where it runs in a task, as for traces
            where_it_was = {"method": _method(request), "route": route.label, "request_id": request.request_id}
            self._audit.rejected("client_gone", request.client.address, **where_it_was)
            raise
        response.lines += self._admission.quota_lines(request)
        if self._cors is not None:
            response.lines += self._cors.lines(request)
        self._record(request, route, response, time.perf_counter() - begin)
        return response

    def _options(self, request: Request, route: Route) -> Response | None:
        if request.path == "*":  # the server as a whole (RFC 9110, section 9.3.7)
            return Response(200, _EMPTY, b"", lines=lines([(b"allow", b"GET, HEAD, POST, PUT, DELETE")]))
        return self._cors.preflight(request, route.handlers) if self._cors is not None and route.handlers else None

    def _failed(self, request: Request, error: MessagingError) -> Response:
        if isinstance(error, StoreError):
            unknown = isinstance(error, OutcomeUnknown)
            reason = "unknown" if unknown else "full" if isinstance(error, StoreFull) else "unavailable"
            self._metrics.count("messaging_store_failures", reason)
            fields = {"detail": str(error), "request_id": request.request_id}
            self._audit.failed("store_failed", reason, request.client.address, **fields)
        return self._handlers.problem(request, problem_of(error))

    def _record(self, request: Request, route: Route, response: Response, seconds: float) -> None:
        method = _method(request)
        self._metrics.answered(route.label, method, response.status, seconds)
        if response.event is not None:
            self._metrics.count("messaging_messages", response.event)
        if response.reason is not None:
            self._audit.rejected(
                response.reason,
                request.client.address,
                request_id=request.request_id,
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
            f'"status":{response.status},"bytes":{len(response.body)},"ms":{format_milliseconds(seconds)},"message":{tag}',
        )


_EMPTY = HeaderBlock()


def _method(request: Request) -> str:
    return request.method if request.method in METHODS else "other"
