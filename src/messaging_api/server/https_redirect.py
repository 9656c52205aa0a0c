"""The plain port beside TLS: it leads people to https, and takes no link and no message."""

from messaging_api.errors import InvalidRequest
from messaging_api.observability.audit import AuditLog
from messaging_api.server.answers import new_id, respond
from messaging_api.web.problems import PlainHttp, problem
from messaging_api.web.types import HOST, Receive, Response, Scope, Send


class RedirectApp:
    """`public_url` is where to lead; empty: the host that the client asked for, on `port`."""

    def __init__(self, public_url: str, port: int, audit: AuditLog) -> None:
        self._public_url = public_url
        self._port = port
        self._audit = audit

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Serve one request (ASGI 3, with the extension `http.WHOLE`)."""
        response, request_id = self._answer(scope), new_id()
        if response.reason is not None:
            self._audit.rejected(response.reason, scope["client"][0], request_id=request_id)
        await respond(scope, response, request_id)

    def _answer(self, scope: Scope) -> Response:
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            return problem(PlainHttp())
        host = HOST.fullmatch(dict(scope["headers"]).get(b"host", b""))
        if host is None:
            return problem(InvalidRequest("The Host header is not a name or address."))
        port = b"" if self._port == 443 else b":%d" % self._port
        url = self._public_url.encode() or b"https://%b%b" % (host[1], port)
        return Response(308, (), b"", extra=((b"location", url + b"/"),))
