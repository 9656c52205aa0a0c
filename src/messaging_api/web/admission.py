"""Admission of requests: tokens for creating messages, and rate limits."""

from messaging_api.core.ratelimit import WINDOW_MS, Kind, RateLimitCheck, RateLimiter
from messaging_api.web.tokens import Tokens
from messaging_api.web.types import Request


class Admission:
    """An admission check by `tokens` and `limiter`."""

    def __init__(self, limiter: RateLimiter, tokens: Tokens) -> None:
        self._limiter = limiter
        self._tokens = tokens
        self._quota_lines: dict[Kind, bytes] = {
            "create": self._lines("create", "create"),
            "read": self._lines("read", "read", "miss"),
            "miss": self._lines("miss", "read", "miss"),
        }

    async def admit_create(self, request: Request) -> bytes:
        """Check the token and count one creation. Return what names the client: its token's hash, or its address.

        Raises Unauthorized, LimitReached.
        """
        token = self._tokens.check(request.headers.get(b"authorization"))
        check = request.check = self._limiter.create(request.client.key)
        check.start()
        await check
        return token or request.client.key

    def begin_lookup(self, request: Request) -> RateLimitCheck:
        """Start the count of one look-up, batched with the store operations of this turn.

        Await the check, which raises LimitReached, before anything irreversible. After a miss call `record_miss`.
        """
        check = request.check = self._limiter.lookup(request.client.key)
        check.start()
        return check

    def quota_lines(self, request: Request) -> bytes:
        """Return the remaining quota of the client as header lines (draft-ietf-httpapi-ratelimit-headers-11)."""
        if request.check is None or request.check.quota is None:
            return b""
        kind, remaining, seconds = request.check.quota
        return self._quota_lines[kind] % (remaining, seconds)

    def _lines(self, concerned: Kind, *kinds: Kind) -> bytes:
        """Return the header lines for one of these limits, with placeholders for what remains and the seconds."""
        limits = self._limiter.limits._asdict()
        policy = ", ".join(f'"{kind}";q={limits[kind]};w={WINDOW_MS // 1000}' for kind in kinds if limits[kind])
        return f'ratelimit-policy: {policy}\r\nratelimit: "{concerned}";r=%d;t=%d\r\n'.encode()
