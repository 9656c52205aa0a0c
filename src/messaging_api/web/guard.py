"""What stands before the handlers that create and look up: who may, and how often (RateLimit fields: IETF draft 11)."""

from messaging_api.errors import LimitReached, Missing
from messaging_api.ratelimit import WINDOW_MS, Asking, Kind, Limiter
from messaging_api.web.clients import Clients
from messaging_api.web.cors import Cors
from messaging_api.web.http import Handler, Header, Request, Response
from messaging_api.web.problems import problem
from messaging_api.web.tokens import Tokens


class Guard:
    """Lets through those who `tokens` knows, as often as `limiter` allows, and tells them what they have left.

    `clients` says who asks; `cors`, which other sites' pages may; None for none.
    """

    def __init__(self, limiter: Limiter, tokens: Tokens, clients: Clients, cors: Cors | None) -> None:
        self.clients = clients
        self.cors = cors
        self._limiter = limiter
        self._tokens = tokens
        self._create_policy = self._policy("create")
        self._read_policy = self._policy("read", "miss")

    def creating(self, handler: Handler) -> Handler:
        """A limit on what `handler` makes: asked first, so that what is refused leaves nothing behind."""

        async def guarded(request: Request, name: str) -> Response:
            self._tokens.check(request.headers.get(b"authorization"))
            permit = self._limiter.create(request.client.key)
            try:
                permit.ask()
                await permit.granted()
            except LimitReached as error:
                return _refused(error, self._create_policy)
            return _told(await handler(request, name), permit, self._create_policy)

        return guarded

    def looking_up(self, handler: Handler) -> Handler:
        """A limit on what `handler` looks up, which it asks `request.permit` for, and on what it does not find."""

        async def guarded(request: Request, name: str) -> Response:
            permit = self._limiter.read(request.client.key)
            request.permit = permit
            try:
                response = await _found(handler, request, name, permit)
            except LimitReached as error:
                return _refused(error, self._read_policy)
            return _told(response, permit, self._read_policy)

        return guarded

    def _policy(self, *kinds: Kind) -> Header:
        limits = self._limiter.limits._asdict()
        items = [f'"{kind}";q={limits[kind]};w={WINDOW_MS // 1000}' for kind in kinds if limits[kind]]
        return (b"ratelimit-policy", ", ".join(items).encode())


async def _found(handler: Handler, request: Request, name: str, permit: Asking) -> Response:
    try:
        return await handler(request, name)
    except Missing as error:
        await permit.missed()
        return problem(error)


def _told(response: Response, permit: Asking, policy: Header) -> Response:
    quota = permit.quota
    if quota is None:
        return response
    left = b'"%b";r=%d;t=%d' % (quota.kind.encode(), quota.remaining, quota.seconds)
    return response._replace(extra=(*response.extra, policy, (b"ratelimit", left)))


def _refused(error: LimitReached, policy: Header) -> Response:
    response = problem(error)
    left = b'"%b";r=0;t=%d' % (error.kind.encode(), error.seconds)
    return response._replace(extra=(*response.extra, policy, (b"ratelimit", left)))
