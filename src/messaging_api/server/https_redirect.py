"""The plain HTTP port beside TLS: it redirects browsers to https, and rejects links and messages."""

from messaging_api.errors import InvalidRequest
from messaging_api.observability.audit import AuditLog
from messaging_api.web.http_errors import PlainHttp
from messaging_api.web.problems import as_json, problem_of
from messaging_api.web.responses import HeaderBlock, Response, lines
from messaging_api.web.types import Request

_BLOCK = HeaderBlock()


class RedirectApp:
    """An application that redirects to `public_url`; if that is empty, to the requested host on `port`."""

    def __init__(self, public_url: str, port: int, audit: AuditLog) -> None:
        self._public_url = public_url
        self._port = port
        self._audit = audit

    async def __call__(self, request: Request) -> Response:
        """Serve one request."""
        response = self._response(request)
        if response.reason is not None:
            self._audit.rejected(response.reason, request.peer, request_id=request.request_id)
        return response

    def _response(self, request: Request) -> Response:
        if request.path != "/" or request.method not in ("GET", "HEAD"):
            return as_json(problem_of(PlainHttp()))
        if not (self._public_url or request.host):
            return as_json(problem_of(InvalidRequest("Send a Host header: the redirect needs it.")))
        url = self._public_url.encode() or self._on_port(request.host)
        return Response(308, _BLOCK, b"", lines=lines([(b"location", url + b"/")]))

    def _on_port(self, host: bytes) -> bytes:
        name, bracket, _ = host.rpartition(b"]") if host[:1] == b"[" else (host.partition(b":")[0], b"", b"")
        port = b"" if self._port == 443 else b":%d" % self._port
        return b"https://%b%b%b" % (name, bracket, port)
