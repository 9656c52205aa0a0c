"""Limits over HTTP: exact with any number of workers and nodes, independent of client headers, without side effects."""

import json
import os
import re
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.redis_server import RedisServer, redis_running
from tests.support.service import Running, ask_at_once, serving, wait_for

JSON = {"accept": "application/json"}
NOBODY = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
MOST = 50
MISSES = 30
CONNECTIONS = 16


def limited(*, create: int = 0, read: int = 0, miss: int = 0) -> list[str]:
    """Return the options of a service with these limits."""
    return ["--limit-create", str(create), "--limit-read", str(read), "--limit-miss", str(miss)]


def post(url: str, **fields: Any) -> dict[str, Any]:
    posted: dict[str, Any] = httpx.post(url, json={"message": "x", **fields}).raise_for_status().json()
    return posted


def samples(service: Running, name: str) -> dict[str, float]:
    """Return the values of one metric by its only label, or by "" without one."""
    families = text_string_to_metric_families(httpx.get(f"{service.ops_url}/metrics").text)
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {next(iter(sample.labels.values()), ""): sample.value for sample in found}


@contextmanager
def connected(*services: Running) -> Iterator[list[httpx.Client]]:
    """Open persistent connections that reach every worker of these services."""
    with ExitStack() as stack:
        clients = []
        for service in services:
            for _ in range(CONNECTIONS):
                client = stack.enter_context(httpx.Client(base_url=service.url, headers=JSON, timeout=30))
                client.get("/docs")
                clients.append(client)
            wait_for(lambda service=service: min(samples(service, "messaging_worker_connections").values()) > 0)  # type: ignore[misc]
        yield clients


def at_once(clients: list[httpx.Client], method: str, *addresses: str, **request: Any) -> Counter[int]:
    """Return how often each status came when all clients send these requests in turn, simultaneously."""
    barrier, statuses = threading.Barrier(len(clients)), Counter[int]()

    def ask(client: httpx.Client) -> None:
        barrier.wait()
        for address in addresses:
            statuses[client.request(method, address, **request).status_code] += 1

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def exact(clients: list[httpx.Client], services: list[Running]) -> None:
    """Check that of each kind exactly the limit of requests passes."""
    link = post(services[0].url)["url"]
    created = at_once(clients, "POST", *["/"] * 8, json={"message": "x"})
    assert created == {200: MOST - 1, 429: 8 * len(clients) - (MOST - 1)}
    read = at_once(clients, "GET", *[httpx.URL(link).path] * 8)
    assert read == {200: 2 * MOST, 429: 8 * len(clients) - 2 * MOST}


def test_limits_are_exact_across_workers(tmp_path: Path, store_url: str) -> None:
    """Two workers share one count: of simultaneous requests, exactly the limit passes."""
    with (
        serving(tmp_path, store_url, "--workers", "2", *limited(create=MOST, read=2 * MOST)) as service,
        connected(service) as clients,
    ):
        exact(clients, [service])


def test_limits_are_exact_across_nodes(tmp_path: Path, redis_server: RedisServer) -> None:
    """Two services of two workers on one Redis share one count."""
    redis_server.client().flushall()
    options = ("--workers", "2", *limited(create=MOST, read=2 * MOST))
    with (
        serving(tmp_path / "one", redis_server.url, *options) as one,
        serving(tmp_path / "two", redis_server.url, *options) as two,
        connected(one, two) as clients,
    ):
        exact(clients, [one, two])


def test_miss_limit_blocks_all_look_ups_exactly(tmp_path: Path, store_url: str) -> None:
    """Exactly the limit of misses gets 404; then every look-up gets 429, even of existing messages."""
    with serving(tmp_path, store_url, "--workers", "2", *limited(miss=MOST)) as service, connected(service) as clients:
        posted = post(service.url, reads=1)
        guesses = (f"/msg/{NOBODY}", "/msg/no-id", f"/receipt/{NOBODY}", "/receipt/x")
        assert at_once(clients, "GET", *guesses) == {404: MOST, 429: 4 * len(clients) - MOST}
        for method, link in (("GET", posted["url"]), ("GET", posted["receipt"]), ("DELETE", posted["receipt"])):
            assert httpx.request(method, link, headers=JSON).status_code == 429


@pytest.mark.parametrize("key", [b"", b"idempotency-key: %b\r\n" % (b"k" * 22)])
@pytest.mark.parametrize(("workers", "read"), [(1, 0), (1, 1000), (2, 1000)])
def test_miss_limit_holds_within_a_burst(tmp_path: Path, store_url: str, workers: int, read: int, key: bytes) -> None:
    """Of look-ups that arrive at once, those behind the misses of the limit get 429, even of existing messages.

    All are looked up in the same round trip, before a miss is counted. Several workers together may serve more, up to
    the limit for each.
    """
    options = ("--workers", str(workers), *limited(read=read, miss=MISSES))
    with serving(tmp_path, store_url, *options) as service:
        posted = [post(service.url, reads=1) for _ in range(6)]
        there = [httpx.URL(one[link]).path for one in posted for link in ("url", "receipt")]
        kinds = ("msg", "msg") if key else ("msg", "receipt")
        guesses = [f"/{kind}/{uuid.uuid4()}" for _ in range(100) for kind in kinds]
        asked = [
            b"GET %b HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n%b\r\n" % (path.encode(), key)
            for path in guesses + there
        ]
        statuses = [int(answer.split()[1]) for answer in ask_at_once(service, asked)]
        assert Counter(statuses[: len(guesses)]) == {404: MISSES, 429: len(guesses) - MISSES}
        served = statuses.count(200)
        assert statuses.count(429) == len(asked) - MISSES - served
        assert served + MISSES <= workers * MISSES  # a worker learns of the misses of another after its own reply


def test_responses_state_the_remaining_quota(tmp_path: Path, store_url: str) -> None:
    """Accepted and rejected requests have RateLimit fields; rejections also have Retry-After and a problem."""
    with serving(tmp_path, store_url, *limited(create=2, read=3, miss=2)) as service:
        made = [httpx.post(service.url, json={"message": "x"}) for _ in range(3)]
        assert [answer.status_code for answer in made] == [200, 200, 429]
        assert {answer.headers["ratelimit-policy"] for answer in made} == {'"create";q=2;w=60'}
        assert [left(answer)[:2] for answer in made] == [("create", 1), ("create", 0), ("create", 0)]
        refused(made[-1])
        link = made[0].json()["url"]
        looked = [
            httpx.get(link, headers={"accept": "text/plain"}),
            httpx.get(f"{service.url}/msg/{NOBODY}"),
            httpx.get(made[0].json()["receipt"]),
            httpx.get(link),
        ]
        assert [answer.status_code for answer in looked] == [200, 404, 200, 429]
        assert {answer.headers["ratelimit-policy"] for answer in looked} == {'"read";q=3;w=60, "miss";q=2;w=60'}
        assert [left(answer)[:2] for answer in looked] == [("read", 2), ("miss", 1), ("read", 0), ("read", 0)]
        refused(looked[-1])
        for answer in (
            httpx.get(service.url),
            httpx.get(f"{service.url}/openapi.json"),
            httpx.get(link, headers={"accept": "text/html"}),
        ):
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


def left(answer: httpx.Response) -> tuple[str, int, int]:
    """Return the RateLimit field: the policy, what remains, and seconds until the window ends."""
    found = re.fullmatch(r'"([a-z]+)";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert found
    assert 1 <= int(found[3]) <= 60
    return found[1], int(found[2]), int(found[3])


def refused(answer: httpx.Response) -> None:
    """Check that a 429 states the same time to wait in all its places."""
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(told) == {"type", "title", "status", "detail"}
    assert int(answer.headers["retry-after"]) == left(answer)[2]
    assert f"in {left(answer)[2]} s" in told["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_limits_responses_have_no_ratelimit_fields(tmp_path: Path, store_url: str) -> None:
    """With limits of 0 there are no fields, and nothing is counted."""
    with serving(tmp_path, store_url, *limited()) as service, httpx.Client(headers=JSON) as client:
        for _ in range(MOST):
            answer = client.get(client.post(service.url, json={"message": "x"}).json()["url"])
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
            assert "ratelimit-policy" not in answer.headers


def test_rejected_request_has_no_effect(tmp_path: Path, redis_server: RedisServer) -> None:
    """A rejected create stores nothing and a rejected read spends none; an allowed client can still read."""
    redis = redis_server.client()
    redis.flushall()
    options = (*limited(create=1, read=1), "--trusted-proxies", "127.0.0.1")
    with serving(tmp_path, redis_server.url, *options) as service:
        posted = post(service.url, reads=1)
        before = redis.dbsize()
        assert httpx.post(service.url, json={"message": "y"}).status_code == 429
        assert redis.dbsize() == before
        assert httpx.get(posted["receipt"]).status_code == 200
        assert [httpx.get(posted["url"], headers=JSON).status_code for _ in range(3)] == [429] * 3
        other = {**JSON, "x-forwarded-for": "198.51.100.7"}
        assert httpx.get(posted["url"], headers=other).json()["message"] == "x"


def test_spoofed_forwarding_headers_are_ignored(tmp_path: Path, store_url: str) -> None:
    """X-Forwarded-For and Forwarded of an untrusted peer change nothing: it counts as one client."""
    with serving(tmp_path, store_url, *limited(create=3)) as service:
        statuses = [
            httpx.post(service.url, json={"message": "x"}, headers=headers).status_code
            for n in range(5)
            for headers in (
                {"x-forwarded-for": f"203.0.113.{n}"},
                {"forwarded": f"for=203.0.113.{n}"},
                {"x-real-ip": f"203.0.113.{n}"},
            )
        ]
        assert statuses == [200] * 3 + [429] * 12


def test_clients_behind_a_trusted_proxy_are_counted_separately(tmp_path: Path, store_url: str) -> None:
    """The client is the rightmost hop that is not a proxy; an IPv6 /64 is one client; forged hops change nothing."""
    with serving(tmp_path, store_url, *limited(create=1), "--trusted-proxies", "127.0.0.0/8, 10.0.0.0/8") as service:

        def status(hops: str) -> int:
            return httpx.post(service.url, json={"message": "x"}, headers={"x-forwarded-for": hops}).status_code

        assert [status(hops) for hops in ("203.0.113.1", "203.0.113.2", "2001:db8:0:1::1", "2001:db8:0:2::1")] == [
            200
        ] * 4
        again = ("198.51.100.9, 203.0.113.1", "203.0.113.2, 10.1.1.1", "::ffff:203.0.113.1", "2001:db8:0:1:ffff::9")
        assert [status(hops) for hops in again] == [429] * 4
        assert [status(hops) for hops in ("nonsense", "x, y", "")] == [200, 429, 429]
        wait_for(lambda: '"client":"2001:db8:0:2::1"' in service.log.read_text())


def test_counts_survive_a_killed_worker(tmp_path: Path, store_url: str) -> None:
    """A killed worker takes no counts with it."""
    with serving(tmp_path, store_url, "--workers", "1", *limited(create=1)) as service:
        post(service.url)
        before = set(service.workers())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(set(service.workers()) - before) == 2)
        wait_for(lambda: httpx.get(f"{service.ops_url}/ready").status_code == 200)
        assert httpx.post(service.url, json={"message": "x"}).status_code == 429


def test_unreachable_counters_admit_requests_and_are_reported(tmp_path: Path) -> None:
    """If Redis can be read but cannot count, reads pass without limits; a metric and the log report it."""
    with redis_running(tmp_path) as redis, serving(tmp_path, redis.url, *limited(read=2, miss=2)) as service:
        link = post(service.url)["url"]
        redis.client().config_set("min-replicas-to-write", 1)
        answers = [httpx.get(link, headers=JSON) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert "ratelimit" not in answers[0].headers
        assert samples(service, "messaging_uncounted_total") == {"": 5.0}
        wait_for(lambda: sum(line["count"] for line in events(service, "uncounted")) == 5)
        assert {(line["level"], line["reason"]) for line in events(service, "uncounted")} == {("error", "unavailable")}
        redis.client().config_set("min-replicas-to-write", 0)
        assert [httpx.get(link, headers=JSON).status_code for _ in range(3)] == [200, 200, 429]


def events(service: Running, event: str) -> list[dict[str, Any]]:
    """Return the log lines of `event`."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]
