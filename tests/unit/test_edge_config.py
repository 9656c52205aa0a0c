"""The edge's own addresses and problems, and what the proxies forward, against the service."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from messaging_api.settings.server import ENV_PREFIX, Settings
from messaging_api.web.forwarded import FORWARDING_HEADERS
from messaging_api.web.problems import TABLE
from messaging_api.web.responses import HSTS, SECURITY
from messaging_api.web.routes import ADDRESSES, LABELS, OTHER
from scripts.contract import contract

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EDGE = DEPLOY / "edge"


def table(file: str, variable: str) -> list[tuple[str, str]]:
    """Return the rows of nginx's map that sets `variable`, in their order."""
    text = (EDGE / file).read_text(encoding="utf-8")
    block = re.search(rf"^ *map [^;{{]+ \{variable} {{\n(.*?)^ *}}$", text, re.DOTALL | re.MULTILINE)
    assert block is not None, variable
    rows = re.findall(r"""^ *("[^"]*"|\S+) +("[^"]*"|'[^']*'|[^\s;]*);$""", block[1], re.MULTILINE)
    assert len(rows) == len(block[1].splitlines())
    return [(key.strip('"'), value.strip("\"'")) for key, value in rows]


def mapped(rows: list[tuple[str, str]], value: str) -> str:
    """Return what nginx's map makes of `value`: an equal key, else the first expression that matches, else default."""
    given = dict(rows)
    for key, result in rows:
        if key == value or (key.startswith("~") and value not in given and re.search(key[1:], value)):
            return result
    return given["default"]


PROBLEMS = [
    *((key, json.loads(body)) for key, body in table("problems.conf", "$problem")),
    ("403", json.loads(table("problems.conf", "$in_the_clear")[0][1])),
]
OWN_TITLES = {"refused": "The request looks like an attack", "unavailable": "The service cannot be reached"}


@pytest.mark.parametrize("query", ["", "?", "?q=/docs"])
@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.path)
def test_logs_of_the_edge_name_each_address_as_the_service_does(address: Any, query: str) -> None:
    """The label of the service's logs and metrics, without the id in the address."""
    routes = table("nginx.conf", "$route")
    assert mapped(routes, re.sub("{.*}", "x-1", address.path) + query) == address.label
    assert {label for _, label in routes} == set(LABELS)
    assert len(routes) == len(LABELS)


@pytest.mark.parametrize("path", ["/msg", "/docsx", "/openapi-json", "/robots-txt", "/notes.txt?reads=1"])
def test_logs_of_the_edge_name_no_name(path: str) -> None:
    """The name that a PUT may have is not in them."""
    assert mapped(table("nginx.conf", "$route"), path) == "/{name}"


@pytest.mark.parametrize("path", ["/msg/x/y", "//msg/x", "/docs/", "/other/x", "*"])
def test_logs_of_the_edge_name_no_address_that_does_not_exist(path: str) -> None:
    """What the service does not serve has one label, so that no part of it gets into a log."""
    assert mapped(table("nginx.conf", "$route"), path) == OTHER


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.path)
def test_405_of_the_edge_names_the_methods_that_the_address_has(address: Any) -> None:
    """The service serves HEAD wherever it serves GET."""
    allowed = mapped(table("problems.conf", "$allow"), f"405 {address.label}").split(", ")
    assert sorted(allowed) == sorted({*address.methods, *(["HEAD"] if "GET" in address.methods else [])})
    assert mapped(table("problems.conf", "$allow"), f"200 {address.label}") == ""


@pytest.mark.parametrize(("key", "problem"), PROBLEMS, ids=lambda value: value if isinstance(value, str) else "")
def test_problems_of_the_edge_are_those_of_the_service(key: str, problem: dict[str, Any]) -> None:
    """One type of problem has one title and, where the service has a fixed detail for that status, one detail."""
    assert list(problem) == ["type", "title", "status", "detail"]
    assert problem["status"] == (500 if key == "default" else int(key))
    path, _, slug = problem["type"].partition("#")
    assert path == "/docs"
    own = OWN_TITLES.get(slug)
    rows = [row for row in TABLE.values() if row.slug == slug]
    assert problem["title"] in ([own] if own else [row.title for row in rows])
    details = [row.detail for row in rows if not own and row.status == problem["status"]]
    assert problem["detail"] in details or details in ([], [None])


def test_responses_of_the_edge_have_the_headers_of_the_service() -> None:
    """All that the service sends with every response, and the edge's own request id."""
    added = re.findall(
        r'^add_header (\S+) (?:"([^"]*)"|(\$\S+)) always;$', (EDGE / "headers.conf").read_text(), re.MULTILINE
    )
    expected = {name.decode(): value.decode() for name, value in SECURITY}
    assert {name.lower(): quoted or variable for name, quoted, variable in added} == {
        **expected,
        "x-request-id": "$own_id",
    }
    name, value = (text.decode() for text in HSTS)
    lines = re.findall(r"^ *add_header Strict-Transport-Security .*$", (EDGE / "nginx.conf").read_text(), re.MULTILINE)
    assert [line.strip().lower() for line in lines] == [f'add_header {name} "{value.lower()}" always;'] * 2


def test_firewall_knows_the_fields_of_a_message() -> None:
    """It allows the options in the query, and does not inspect free texts: strings without a format."""
    rules = (EDGE / "firewall" / "message.conf").read_text()
    fields = contract()["components"]["schemas"]["Form"]["properties"]
    texts = {name for name, schema in fields.items() if schema.get("type") == "string" and "format" not in schema}
    names = re.search(r'^SecRule ARGS_GET_NAMES "!@rx \^\(\?:(.*)\)\$"', rules, re.MULTILINE)
    assert names is not None
    options = fields.keys() - {"message"}
    assert set(names[1].split("|")) == options
    shape = (EDGE / "firewall" / "shape.conf").read_text()
    no_files = re.search(r'^SecRule FILES_NAMES "@rx \^\(\?:(.*)\)\$"', shape, re.MULTILINE)
    assert no_files is not None
    assert set(no_files[1].split("|")) == options
    exempt = re.findall(r"ctl:ruleRemoveTargetByTag=OWASP_CRS;ARGS:([\w.]+)", rules)
    assert sorted(exempt) == sorted([*texts, *(f"json.{name}" for name in texts)])


SETTING = f"{ENV_PREFIX}FORWARDED_HEADER"
KNOWN = {name.decode() for headers in FORWARDING_HEADERS.values() for name in headers.names}


def test_edge_forwards_nothing_of_what_a_client_says_about_itself() -> None:
    """It sets or removes every header that the service can believe; the client's address is in the configured one."""
    fields = re.findall(r"^ *proxy_set_header (\S+) (.*);$", (EDGE / "nginx.conf").read_text(), re.MULTILINE)
    sent = {name.lower(): value.strip('"') for name, value in fields}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    header = compose["services"]["messaging_api"]["environment"][SETTING]
    assert {name: sent[name] for name in KNOWN} == {
        **dict.fromkeys(KNOWN, ""),
        "x-forwarded-proto": "https",
        header: "$remote_addr",
    }


def test_haproxy_forwards_nothing_of_what_a_client_says_about_itself() -> None:
    """It sets or removes every header that the service can believe; the address is in the service's default one."""
    config = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    rules = re.findall(r"^ *http-request (set|del)-header (\S+) ?(\S*)(.*)$", config, re.MULTILINE)
    always = {name.lower() for _, name, _, condition in rules if not condition}
    assert {name.lower() for _, name, _, _ in rules} >= KNOWN
    schemes = [(value, condition.strip()) for _, name, value, condition in rules if name == "X-Forwarded-Proto"]
    assert schemes == [("https", "if { ssl_fc }"), ("http", "unless { ssl_fc }")]
    assert always == KNOWN - {"x-forwarded-proto"}
    written = {name.lower(): value for action, name, value, _ in rules if action == "set"}
    assert written[Settings().forwarded_header] == "%[src]"


def test_kubernetes_names_the_header_that_its_ingress_writes() -> None:
    """ingress-nginx writes X-Forwarded-For, -Proto and -Host, and passes on `Forwarded` as the client sent it."""
    (settings,) = yaml.safe_load_all((DEPLOY / "kubernetes" / "settings.yaml").read_text())
    assert settings["data"][SETTING] == "x-forwarded-for"
