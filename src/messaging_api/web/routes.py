"""The table of all addresses: their labels in logs and metrics, and the handler of each method."""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from messaging_api.web.handlers import Handlers
from messaging_api.web.http_errors import MethodNotAllowed, UnknownAddress
from messaging_api.web.responses import Response
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
        return self.path.partition("/{")[0]


ADDRESSES = (
    Address("/", {"GET": Handlers.describe, "POST": Handlers.create}),
    Address("/msg/{message_id}", {"GET": Handlers.read, "POST": Handlers.reveal}),
    Address("/receipt/{receipt_id}", {"GET": Handlers.receipt, "DELETE": Handlers.burn}),
    Address("/openapi.json", {"GET": Handlers.contract}),
    Address("/docs", {"GET": Handlers.docs}),
    Address("/assets/{name}", {"GET": Handlers.asset}),
)
OTHER = "other"
"""The label of all addresses that do not exist."""
LABELS = (*(address.label for address in ADDRESSES), OTHER)


class Route(NamedTuple):
    """An address of a running service. HEAD is served wherever GET is."""

    label: str
    handlers: Mapping[str, Handler]

    def handler(self, method: str) -> Handler:
        """Return the handler of `method`. Raises UnknownAddress, MethodNotAllowed."""
        handler = self.handlers.get(method)
        if handler is None:
            raise MethodNotAllowed(", ".join(self.handlers)) if self.handlers else UnknownAddress
        return handler


class Router:
    """A router. Addresses with a name in them are found by the part of the path up to the last slash."""

    def __init__(self, handlers: Handlers) -> None:
        self._fixed: dict[str, Route] = {}
        self._named: dict[str, Route] = {}
        for address in ADDRESSES:
            methods = {method: handle.__get__(handlers) for method, handle in address.methods.items()}
            if "GET" in methods:
                methods["HEAD"] = methods["GET"]
            routes = self._named if "{" in address.path else self._fixed
            routes[address.label] = Route(address.label, methods)
        self._other = Route(OTHER, {})

    def find(self, path: str) -> tuple[Route, str]:
        """Return the route of `path`, and the name in it: /msg/<name>."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, ""
        prefix, _, name = path.rpartition("/")
        return self._named.get(prefix, self._other), name
