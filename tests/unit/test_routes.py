"""The table of addresses, compared with the contract and the labels of the metrics."""

import asyncio
import itertools
from collections.abc import Awaitable
from importlib.resources import files
from typing import Any

import pytest
import yaml

from messaging_api.observability.metrics import METHODS, STATUSES, SharedMetrics
from messaging_api.web.handlers import Handlers
from messaging_api.web.http_errors import MethodNotAllowed, UnknownAddress
from messaging_api.web.responses import HeaderBlock, Response
from messaging_api.web.routes import ADDRESSES, LABELS, OTHER, Router
from messaging_api.web.types import Request
from tests.support.requests import request_to

CONTRACT = yaml.safe_load(files("messaging_api.web").joinpath("openapi.yaml").read_text(encoding="utf-8"))
HTTP_METHODS = {"get", "post", "put", "patch", "delete", "head", "options", "trace"}


class NamedHandlers(Handlers):
    """Handlers whose responses tell which of them served, and the name in the address."""

    def __init__(self) -> None:
        """Need nothing."""


def served(name: str) -> Any:
    async def handle(_self: Handlers, _request: Request, argument: str) -> Response:
        return Response(200, HeaderBlock(), f"{name} {argument}".encode())

    return handle


def test_table_and_contract_have_the_same_operations() -> None:
    """Each address of openapi.yaml has all of its methods."""
    contract = {path: {name.upper() for name in HTTP_METHODS & set(item)} for path, item in CONTRACT["paths"].items()}
    assert {address.path: set(address.methods) for address in ADDRESSES} == contract
    assert len(ADDRESSES) == len(contract)


def test_labels_are_those_of_the_metrics() -> None:
    """A label without counters would fail after each response: each label, method and status can be counted."""
    metrics = SharedMetrics(1, LABELS)
    for label, method, status in itertools.product(LABELS, METHODS, STATUSES):
        metrics.workers[0].answered(label, method, status, 0.001)
        assert metrics.total("messaging_requests", label, method, str(status)) == 1
    assert len(set(LABELS)) == len(LABELS)
    assert {method for address in ADDRESSES for method in address.methods} | {"HEAD", "other"} == set(METHODS)


@pytest.mark.parametrize(
    ("path", "label", "name"),
    [
        ("/", "/", ""),
        ("/docs", "/docs", ""),
        ("/openapi.json", "/openapi.json", ""),
        ("/msg/x", "/msg", "x"),
        ("/msg/", "/msg", ""),
        ("/receipt/a.b", "/receipt", "a.b"),
        ("/assets/style.css", "/assets", "style.css"),
        ("/robots.txt", "/robots.txt", ""),
        ("/notes.txt", "/{name}", "notes.txt"),
        ("/msg", "/{name}", "msg"),
        ("/msg/x/y", OTHER, "y"),
        ("//msg/x", OTHER, "x"),
        ("/docs/", OTHER, ""),
        ("", OTHER, ""),
        ("*", OTHER, "*"),
        ("/MSG/x", OTHER, "x"),
        ("/other/x", OTHER, "x"),
    ],
)
def test_find_matches_addresses_exactly(path: str, label: str, name: str) -> None:
    """An address is found letter by letter; the name is the part after its last slash."""
    route, found = Router(NamedHandlers()).find(path)
    assert (route.label, found) == (label, name)
    assert bool(route.handlers) == (label != OTHER)


@pytest.mark.parametrize("label", ["/msg", "/receipt"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_slash_behind_an_id_leads_to_a_redirect(label: str, method: str) -> None:
    """The redirect is relative, so that it also works below a path. Only an id is repeated in it."""
    identifier = "0B0E7C8E-2f5c-4f5e-9d0a-2b1d6f0c9a11"
    route, name = Router(NamedHandlers()).find(f"{label}/{identifier}/")
    response = asyncio.run(_response(route.handler(method)(request_to("/", method), name)))
    assert (route.label, response.status, response.lines) == (label, 308, f"location: ../{identifier}\r\n".encode())
    for other in (f"{label}/{identifier}//", f"{label}/x/", f"/docs/{identifier}/", f"{label}/{identifier}\r\nx: y/"):
        assert Router(NamedHandlers()).find(other)[0].label == OTHER


async def _response(awaited: Awaitable[Response]) -> Response:
    return await awaited


def test_handlers_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method of each address calls its handler with the name in the address; HEAD calls that of GET."""
    for address in ADDRESSES:
        for method, handle in address.methods.items():
            route, name = Router(NamedHandlers()).find(address.path.replace("{", "").replace("}", ""))
            handler = route.handler(method)
            assert handler.__func__ is handle  # type: ignore[attr-defined]
            assert name == ("" if "{" not in address.path else address.path.split("{")[1].rstrip("}"))
        if "GET" in address.methods:
            assert route.handler("HEAD") == route.handler("GET")
        else:
            with pytest.raises(UnknownAddress):
                route.handler("HEAD")
    table = [address._replace(methods={name: served(name) for name in address.methods}) for address in ADDRESSES]
    monkeypatch.setattr("messaging_api.web.routes.ADDRESSES", table)
    route, name = Router(NamedHandlers()).find("/receipt/x")

    async def ask() -> Response:
        return await route.handler("DELETE")(request_to("/receipt/x", "DELETE"), name)

    assert asyncio.run(ask()).body == b"DELETE x"


def test_unsupported_methods_raise_method_not_allowed() -> None:
    """The error has the methods of the address; an address that does not exist has none."""
    router = Router(NamedHandlers())
    with pytest.raises(MethodNotAllowed) as caught:
        router.find("/receipt/x")[0].handler("POST")
    assert caught.value.allow == "GET, DELETE, HEAD"
    for method in ("POST", "get", "OPTIONS"):
        with pytest.raises(MethodNotAllowed):
            router.find("/docs")[0].handler(method)
    for method, path in itertools.product(("GET", "POST", "OPTIONS"), ("/nothing", "/nothing/here")):
        with pytest.raises(UnknownAddress):
            router.find(path)[0].handler(method)
    with pytest.raises(UnknownAddress):
        router.find("/nothing/here")[0].handler("PUT")
    with pytest.raises(MethodNotAllowed) as caught:
        router.find("/")[0].handler("PUT")
    assert caught.value.command == "curl -T FILE {url}/"
