"""What stands before the handlers that create and look up: who may, and how often."""

from messaging_api.errors import Missing
from messaging_api.ratelimit import WINDOW_MS, Kind, Limiter
from messaging_api.web.clients import Clients
from messaging_api.web.cors import Cors
from messaging_api.web.http import Handler, Request, Response
from messaging_api.web.tokens import Tokens


class Guard:
    """Lets through those who `tokens` knows, as often as `limiter` allows.

    `clients` says who asks; `cors`, which other sites' pages may; None for none.
    """

    def __init__(self, limiter: Limiter, tokens: Tokens, clients: Clients, cors: Cors | None) -> None:
        self.clients = clients
        self.cors = cors
        self._limiter = limiter
        self._tokens = tokens
        self._quota_lines: dict[Kind, bytes] = {
            "create": self._lines("create", "create"),
            "read": self._lines("read", "read", "miss"),
            "miss": self._lines("miss", "read", "miss"),
        }

    def creating(self, handler: Handler) -> Handler:
        """A limit on what `handler` makes: asked first, so that what is refused leaves nothing behind."""

        async def guarded(request: Request, name: str) -> Response:
            self._tokens.check(request.headers.get(b"authorization"))
            permit = request.permit = self._limiter.create(request.client.key)
            permit.ask()
            await permit.granted()
            return await handler(request, name)

        return guarded

    def looking_up(self, handler: Handler) -> Handler:
        """A limit on what `handler` looks up, which it asks `request.permit` for, and on what it does not find."""

        async def guarded(request: Request, name: str) -> Response:
            permit = request.permit = self._limiter.read(request.client.key)
            try:
                return await handler(request, name)
            except Missing:
                await permit.missed()
                raise

        return guarded

    def quota_lines(self, request: Request) -> bytes:
        """What the client has left, as header lines (draft-ietf-httpapi-ratelimit-headers-11)."""
        quota = request.permit.quota
        if quota is None:
            return b""
        kind, remaining, seconds = quota
        return self._quota_lines[kind] % (remaining, seconds)

    def _lines(self, concerned: Kind, *kinds: Kind) -> bytes:
        """The header lines that tell of one of these limits, with places for what remains and the seconds."""
        limits = self._limiter.limits._asdict()
        policy = ", ".join(f'"{kind}";q={limits[kind]};w={WINDOW_MS // 1000}' for kind in kinds if limits[kind])
        return f'ratelimit-policy: {policy}\r\nratelimit: "{concerned}";r=%d;t=%d\r\n'.encode()
