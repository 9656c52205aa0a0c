"""Which other sites' pages may use this service from a browser (the CORS protocol of the Fetch standard).

No cookies and no other credentials of the browser play a part here, so none are ever allowed.
"""

from collections.abc import Iterable

from messaging_api.web.types import Header, Request, Response

ANY = "*"

_EXPOSED = b"location, ratelimit, ratelimit-policy, retry-after, x-expires-at, x-reads-left, x-request-id"
_ACCEPTED = b"accept, authorization, content-type, idempotency-key"
_REMEMBERED = b"7200"
"""Seconds that a browser may remember a preflight's answer; browsers take no more."""
_VARY: Header = (b"vary", b"origin")


class Cors:
    """Allows pages of `origins`, each as a browser sends it (https://site.example); "*" allows all."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = ANY.encode() in self._origins

    def fields(self, request: Request) -> tuple[Header, ...]:
        """What an answer to `request` tells the browser."""
        allowed = self._allowed(request)
        exposed = ((b"access-control-expose-headers", _EXPOSED),) if allowed else ()
        return (*allowed, *exposed, *(() if self._any else (_VARY,)))

    def preflight(self, request: Request, methods: Iterable[str]) -> Response:
        """The answer to OPTIONS on an address with these methods. What it may not do, a page is not told."""
        allow = ", ".join(methods).encode()
        if not self._allowed(request):
            return Response(200, ((b"allow", allow),), b"")
        told = (
            (b"allow", allow),
            (b"access-control-allow-methods", allow),
            (b"access-control-allow-headers", _ACCEPTED),
            (b"access-control-max-age", _REMEMBERED),
        )
        return Response(200, told, b"")

    def _allowed(self, request: Request) -> tuple[Header, ...]:
        origin = request.headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            return ()
        return ((b"access-control-allow-origin", b"*" if self._any else origin),)
