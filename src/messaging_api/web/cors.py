"""CORS: the other websites whose pages may use this service from a browser (Fetch standard).

The service uses no cookies or other credentials of the browser, so they are never allowed.
"""

from collections.abc import Iterable

from messaging_api.web.responses import HeaderBlock, Response, lines
from messaging_api.web.types import Header, Request

ANY = "*"

_EXPOSED = b"location, ratelimit, ratelimit-policy, retry-after, x-expires-at, x-reads-left, x-request-id"
_ACCEPTED = b"accept, authorization, content-type, idempotency-key, traceparent, tracestate, x-requested-with"
"""Also what libraries for tracing and for requests in browsers add by themselves."""
_REMEMBERED = b"7200"
"""Seconds that a browser may cache the response to a preflight; browsers cap it at this."""
_VARY: Header = (b"vary", b"origin")
_NO_CONTENT = HeaderBlock()


class Cors:
    """A CORS policy that allows `origins`, each as a browser sends it (https://site.example); "*" allows all."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = ANY.encode() in self._origins

    def lines(self, request: Request) -> bytes:
        """Return the header lines for the response to `request`."""
        allowed = self._allowed(request)
        exposed = ((b"access-control-expose-headers", _EXPOSED),) if allowed else ()
        return lines((*allowed, *exposed, *(() if self._any else (_VARY,))))

    def preflight(self, request: Request, methods: Iterable[str]) -> Response:
        """Return the response to OPTIONS on an address with these methods. Other origins get no CORS headers."""
        allow = ", ".join(methods).encode()
        headers: list[Header] = [(b"allow", allow)]
        if self._allowed(request):
            headers += (
                (b"access-control-allow-methods", allow),
                (b"access-control-allow-headers", _ACCEPTED),
                (b"access-control-max-age", _REMEMBERED),
            )
        return Response(200, _NO_CONTENT, b"", lines=lines(headers))

    def _allowed(self, request: Request) -> tuple[Header, ...]:
        origin = request.headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return ()
        return ((b"access-control-allow-origin", b"*" if self._any else origin),)
