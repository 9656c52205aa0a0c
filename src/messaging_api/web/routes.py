"""The table of all addresses: their labels in logs and metrics, and the handler of each method."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from messaging_api.web.handlers import Handlers
from messaging_api.web.http_errors import MethodNotAllowed, UnknownAddress
from messaging_api.web.request_body import UPLOAD
from messaging_api.web.responses import HeaderBlock, Response, lines
from messaging_api.web.types import Request

Handler = Callable[[Request, str], Awaitable[Response]]
"""A handler of a request; the second argument is the name in the address: /msg/<name>."""


class Address(NamedTuple):
    """One row of the table: an address as in `openapi.yaml`, and the method of `Handlers` for each HTTP method."""

    path: str
    methods: Mapping[str, Callable[[Handlers, Request, str], Awaitable[Response]]]

    @property
    def label(self) -> str:
        """Return the label for logs and metrics: the address without ids."""
        return self.path.partition("/{")[0] or self.path


ADDRESSES = (
    Address("/", {"GET": Handlers.describe, "POST": Handlers.create}),
    Address("/msg/{message_id}", {"GET": Handlers.read, "POST": Handlers.reveal}),
    Address("/receipt/{receipt_id}", {"GET": Handlers.receipt, "DELETE": Handlers.burn}),
    Address("/openapi.json", {"GET": Handlers.contract}),
    Address("/docs", {"GET": Handlers.docs}),
    Address("/robots.txt", {"GET": Handlers.robots}),
    Address("/assets/{name}", {"GET": Handlers.asset}),
    Address("/{name}", {"PUT": Handlers.create}),
)
OTHER = "other"
"""The label of all addresses that do not exist."""
_WITH_SLASH = re.compile("(/msg|/receipt)/([0-9A-Fa-f-]{36})/")
_EMPTY = HeaderBlock((b"content-type", b"text/plain; charset=utf-8"))
LABELS = (*(address.label for address in ADDRESSES), OTHER)


class Route(NamedTuple):
    """An address of a running service. HEAD is served wherever GET is."""

    label: str
    handlers: Mapping[str, Handler]

    def handler(self, method: str) -> Handler:
        """Return the handler of `method`. Raises UnknownAddress, MethodNotAllowed."""
        handler = self.handlers.get(method)
        if handler is not None:
            return handler
        if "GET" not in self.handlers:  # nothing exists there: a PUT to /{name} makes a message with another address
            raise UnknownAddress
        raise MethodNotAllowed(", ".join(self.handlers), UPLOAD if (method, self.label) == ("PUT", "/") else "")


class Router:
    """A router. Addresses with a name in them are found by the part of the path up to the last slash."""

    def __init__(self, handlers: Handlers) -> None:
        self._fixed: dict[str, Route] = {}
        self._named: dict[str, Route] = {}
        for address in ADDRESSES:
            methods = {method: handle.__get__(handlers) for method, handle in address.methods.items()}
            if "GET" in methods:
                methods["HEAD"] = methods["GET"]
            prefix, name, _ = address.path.partition("/{")
            routes = self._named if name else self._fixed
            routes[prefix] = Route(address.label, methods)
        redirect = {"GET": _without_slash, "HEAD": _without_slash}
        self._redirects = {label: Route(label, redirect) for label in ("/msg", "/receipt")}
        self._other = Route(OTHER, {})

    def find(self, path: str) -> tuple[Route, str]:
        """Return the route of `path`, and the name in it: /msg/<name>. A slash behind an id leads to a redirect."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, ""
        prefix, slash, name = path.rpartition("/")
        if not name and (slashed := _WITH_SLASH.fullmatch(path)):
            return self._redirects[slashed[1]], slashed[2]
        return self._named.get(prefix, self._other) if slash else self._other, name


async def _without_slash(_request: Request, name: str) -> Response:
    """Redirect /msg/<id>/ to /msg/<id>, relative to it. A browser keeps the fragment of the link (RFC 9110, 10.2.2)."""
    return Response(308, _EMPTY, b"", lines=lines([(b"location", b"../" + name.encode())]))
