"""What stands before the handlers that create and look up: who may, and how often."""

from messaging_api.core.ratelimit import WINDOW_MS, Kind, RateLimiter
from messaging_api.web.client_address import ClientAddresses
from messaging_api.web.cors import Cors
from messaging_api.web.tokens import Tokens
from messaging_api.web.types import Request


class Admission:
    """Lets through those who `tokens` knows, as often as `limiter` allows.

    `clients` says who asks; `cors`, which other sites' pages may; None for none.
    """

    def __init__(self, limiter: RateLimiter, tokens: Tokens, clients: ClientAddresses, cors: Cors | None) -> None:
        self.clients = clients
        self.cors = cors
        self._limiter = limiter
        self._tokens = tokens
        self._quota_lines: dict[Kind, bytes] = {
            "create": self._lines("create", "create"),
            "read": self._lines("read", "read", "miss"),
            "miss": self._lines("miss", "read", "miss"),
        }

    def create(self, request: Request) -> None:
        """Before a creation: ask for the permit that its handler waits for. Raises Unauthorized, LimitReached."""
        self._tokens.check(request.headers.get(b"authorization"))
        request.permit = self._limiter.create(request.client.key)
        request.permit.start()

    def look_up(self, request: Request) -> None:
        """Before a look-up: give it the permit that it asks for beside its first look."""
        request.permit = self._limiter.read(request.client.key)

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
