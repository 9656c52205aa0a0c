"""Who may create and look up messages, and how often."""

from messaging_api.core.ratelimit import WINDOW_MS, Kind, RateLimitCheck, RateLimiter
from messaging_api.web.tokens import Tokens
from messaging_api.web.types import Request


class Admission:
    """Admits clients that `tokens` knows, as often as `limiter` allows."""

    def __init__(self, limiter: RateLimiter, tokens: Tokens) -> None:
        self._limiter = limiter
        self._tokens = tokens
        self._quota_lines: dict[Kind, bytes] = {
            "create": self._lines("create", "create"),
            "read": self._lines("read", "read", "miss"),
            "miss": self._lines("miss", "read", "miss"),
        }

    async def admit_create(self, request: Request) -> None:
        """Check the token and count one creation. Raises Unauthorized, LimitReached."""
        self._tokens.check(request.headers.get(b"authorization"))
        check = request.check = self._limiter.create(request.client.key)
        check.start()
        await check

    def begin_lookup(self, request: Request) -> RateLimitCheck:
        """Count one look-up together with what is looked up in this turn. Raises LimitReached.

        Await the check before anything that cannot be undone, and tell it of a miss.
        """
        check = request.check = self._limiter.lookup(request.client.key)
        check.start()
        return check

    def quota_lines(self, request: Request) -> bytes:
        """Return what the client has left as header lines (draft-ietf-httpapi-ratelimit-headers-11)."""
        if request.check is None or request.check.quota is None:
            return b""
        kind, remaining, seconds = request.check.quota
        return self._quota_lines[kind] % (remaining, seconds)

    def _lines(self, concerned: Kind, *kinds: Kind) -> bytes:
        """Return the header lines about one of these limits, with places for what remains and the seconds."""
        limits = self._limiter.limits._asdict()
        policy = ", ".join(f'"{kind}";q={limits[kind]};w={WINDOW_MS // 1000}' for kind in kinds if limits[kind])
        return f'ratelimit-policy: {policy}\r\nratelimit: "{concerned}";r=%d;t=%d\r\n'.encode()
