"""The edge: its own rejections, rate limits and slow clients."""

import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from messaging_api.web.responses import HSTS, SECURITY
from tests.support.compose_stack import Stack, run
from tests.support.service import wait_for

SLOW = (Path(__file__).parents[1] / "support" / "slow_bodies.py").read_text()
TEXT = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


def is_ours(answer: httpx.Response, status: int) -> None:
    """Check that a problem has the shape and every header of the service's own responses."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == status
    expected = {name.decode(): value.decode() for name, value in (*SECURITY, HSTS)}
    assert {name: answer.headers.get_list(name) for name in expected} == {name: [expected[name]] for name in expected}
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("status", "method", "address", "options"),
    [
        (400, "GET", "/", {"headers": {"host": "a b"}}),
        (400, "GET", "/msg/%00", {}),
        (400, "POST", "/", {"content": b'{"message"', "headers": {"content-type": "application/json"}}),
        (403, "GET", "/?q=<script>alert(1)</script>", {}),
        (403, "GET", "/msg/%41", {}),
        (404, "GET", "/.edge/problem", {}),
        (405, "TRACE", "/", {}),
        (413, "POST", "/", {"content": b"x" * 500_000, "headers": TEXT}),
        (414, "GET", "/" + "x" * 9000, {}),
        (431, "GET", "/", {"headers": {"x-long": "x" * 40_000}}),
    ],
)
def test_edge_rejections_look_like_those_of_the_service(
    client: httpx.Client, status: int, method: str, address: str, options: dict[str, Any]
) -> None:
    """Each rejection by the edge has the shape and the headers of the service's own."""
    is_ours(client.request(method, address, **options), status)


def test_405_of_the_edge_lists_the_methods(client: httpx.Client) -> None:
    """A method that the edge rejects gets the methods of the address."""
    answers = {path: client.request("TRACE", path).headers["allow"] for path in ("/", "/msg/x", "/receipt/x")}
    assert answers == {"/": "GET, HEAD, POST", "/msg/x": "GET, HEAD, POST", "/receipt/x": "GET, HEAD, DELETE"}


def test_stopped_service_gives_502(stack: Stack, client: httpx.Client) -> None:
    """Without the service the response is 502, without Retry-After: the edge does not know what became of a request."""
    stack.compose("stop", "messaging_api")
    try:
        wait_for(lambda: client.get("/").status_code == 502)
        answer = client.get("/msg/x")
    finally:
        stack.up()
    is_ours(answer, 502)
    assert "retry-after" not in answer.headers


FLOOD = """
import http.client, json, ssl, sys, time
connection = http.client.HTTPSConnection(sys.argv[1], 8443, context=ssl._create_unverified_context())
statuses = []
for _ in range(1000):
    connection.request("GET", "/docs")
    answer = connection.getresponse()
    told = dict(answer.getheaders())
    statuses.append(answer.status)
    answer.read()
    if answer.status == 429:
        break
print(json.dumps([statuses, {name.lower(): value for name, value in told.items()}]))
"""


def test_client_over_its_rate_gets_429(stack: Stack, client: httpx.Client) -> None:
    """A client gets 429 with Retry-After beyond its rate and burst; another client is not affected."""
    frontend = f"{stack.project}_frontend"
    statuses, headers = json.loads(stack.python(frontend, FLOOD, stack.address("edge", "frontend")))
    assert statuses[-1] == 429
    assert set(statuses[:200]) == {200}
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "1"
    assert client.get("/docs").status_code == 200


def median_of(client: httpx.Client) -> float:
    """Return the median seconds of a few equal requests."""
    took = []
    for _ in range(30):
        begin = time.perf_counter()
        assert client.get("/docs").status_code == 200
        took.append(time.perf_counter() - begin)
        time.sleep(0.02)  # well below its own limit
    return statistics.median(took)


@pytest.mark.alone
def test_slow_clients_are_disconnected_and_delay_nobody(unlimited: Stack) -> None:
    """500 idle or slow clients, over HTTP/1.1 and 2, are all disconnected, and a normal client is served."""
    command = ("docker", "run", "--rm", "--network", f"{unlimited.project}_frontend", "--entrypoint", "python")
    program = (unlimited.image("messaging_api"), "-c", SLOW, unlimited.address("edge", "frontend"), "8443", "500")
    with unlimited.client() as client:
        alone = median_of(client)
        with subprocess.Popen([*command, *program], stdout=subprocess.PIPE, text=True) as slow:
            assert slow.stdout is not None
            assert slow.stdout.readline() == "ready\n"
            among_them = [median_of(client) for _ in range(5)]
            told = json.loads(slow.stdout.read())
    assert sum(count for count, _ in told.values()) == 500
    assert max(seconds for _, seconds in told.values()) < 45
    assert statistics.median(among_them) < 5 * alone


LONG = "lorem ipsum " * 25_000
COSTLY: dict[str, tuple[str, dict[str, Any]]] = {
    "many fields": ("/", {"json": {f"a{n}": "lorem" for n in range(10_000)}}),
    "many fields in a form": ("/", {"data": {f"a{n}": "lorem" for n in range(10_000)}}),
    "a long field": ("/", {"json": {"message": "x", "note": LONG}}),
    "a long name": ("/", {"json": {LONG: 1}}),
    "a text that is none": ("/?x=1", {"json": {"message": LONG}}),
    "another address": ("/docs", {"json": {"message": LONG}}),
    "another content type": ("/", {"content": LONG.encode(), "headers": {"content-type": "application/octet-stream"}}),
}


@pytest.mark.alone
@pytest.mark.parametrize("name", COSTLY)
def test_firewall_inspection_cost_is_bounded(unlimited: Stack, name: str) -> None:
    """No inspected request costs many times as much as a long message: it is rejected before that."""
    address, options = COSTLY[name]

    def seconds(client: httpx.Client, address: str, options: dict[str, Any], statuses: set[int]) -> float:
        begin = time.perf_counter()
        assert client.post(address, **options).status_code in statuses
        return time.perf_counter() - begin

    with unlimited.client() as client:
        ordinary = [seconds(client, "/", {"json": {"message": "x" * 60_000}}, {200}) for _ in range(5)]
        costly = [seconds(client, address, options, {400, 413}) for _ in range(5)]
    assert statistics.median(costly) < 10 * statistics.median(ordinary)


def test_slow_body_within_its_timeout_is_accepted(client: httpx.Client) -> None:
    """A client that needs some seconds for its message is not a slow client."""

    def slowly() -> Iterator[bytes]:
        for _ in range(6):
            yield b"x"
            time.sleep(0.5)

    assert client.post("/", content=slowly(), headers=TEXT).status_code == 200


def test_configuration_is_valid(stack: Stack) -> None:
    """nginx and compose report no error in their files."""
    stack.exec("edge", "nginx", "-t", "-q")
    stack.compose("config", "--quiet")
    run("docker", "compose", "--file", "docker-compose.dev.yml", "config", "--quiet", folder=stack.folder)
