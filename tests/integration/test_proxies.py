"""The service behind a proxy: which of the proxy's headers are believed, and what they change."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.service import Running, serving, wait_for

CLIENT = "203.0.113.9"
PASSED_ON = {"forwarded": f"for={CLIENT};proto=https;host=msg.example"}
WRITTEN = {"x-forwarded-for": CLIENT, "x-forwarded-proto": "https", "x-forwarded-host": "msg.example"}
HEADERS = {"x-forwarded-for": WRITTEN, "forwarded": PASSED_ON}
TRUST = ("--trusted-proxies", "127.0.0.1")


def post(service: Running, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(service.url, json={"message": "x"}, headers=headers)


def logged_clients(service: Running, requests: int) -> set[str]:
    """Return the clients in the log, once it has this many lines of requests; /ready is on another port."""

    def lines() -> list[dict[str, str]]:
        return [json.loads(line) for line in service.log.read_text().splitlines() if '"client":' in line]

    wait_for(lambda: len(lines()) >= requests)
    return {line["client"] for line in lines()}


@pytest.mark.parametrize("added", ["forwarded: for=198.51.100.1", "forwarded: x", "x-real-ip: 198.51.100.1"])
def test_a_header_that_the_proxy_passes_on_changes_nothing(tmp_path: Path, added: str) -> None:
    """A client that adds another header than the proxy's stays in its limit and is logged by its address."""
    name, _, value = added.partition(": ")
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", *TRUST, "--limit-create", "5") as service:
        proxied = {"x-forwarded-for": CLIENT}
        statuses = [post(service, headers).status_code for headers in [proxied] * 6 + [{**proxied, name: value}] * 6]
        assert statuses == [200] * 5 + [429] * 7
        assert logged_clients(service, 6) == {CLIENT}


def test_the_other_header_counts_if_it_is_the_configured_one(tmp_path: Path) -> None:
    """With --forwarded-header forwarded, the X-Forwarded headers that a client sent change nothing."""
    options = (*TRUST, "--forwarded-header", "forwarded", "--limit-create", "5")
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", *options) as service:
        spoofed = {"x-forwarded-for": "198.51.100.1", "x-forwarded-proto": "http", "x-forwarded-host": "evil.example"}
        answers = [post(service, headers) for headers in [PASSED_ON] * 5 + [{**PASSED_ON, **spoofed}]]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert {answer.json().get("url", "")[:24] for answer in answers} == {"https://msg.example/msg/", ""}
        assert logged_clients(service, 6) == {CLIENT}


@pytest.mark.parametrize("header", HEADERS)
def test_links_have_the_scheme_and_the_host_that_the_client_used(tmp_path: Path, header: str) -> None:
    """Behind a proxy with TLS the links begin with https and the public host; HSTS is left to the proxy."""
    options = (*TRUST, "--forwarded-header", header)
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", *options) as service:
        answer = post(service, HEADERS[header])
        links = [answer.json()["url"], answer.json()["receipt"], answer.headers["location"]]
        assert [link.rpartition("/")[0] for link in links] == [
            f"https://msg.example/{kind}" for kind in ("msg", "receipt", "msg")
        ]
        assert "strict-transport-security" not in answer.headers


def test_public_url_wins_over_the_proxy(tmp_path: Path) -> None:
    """Links begin with --public-url whatever a proxy forwards."""
    options = (*TRUST, "--public-url", "https://one.example/m")
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", *options) as service:
        assert post(service, WRITTEN).json()["url"].startswith("https://one.example/m/msg/")


@pytest.mark.parametrize("header", HEADERS)
def test_an_untrusted_peer_changes_no_link(tmp_path: Path, header: str) -> None:
    """Scheme and host come from the connection and its Host header if the peer is not a trusted proxy."""
    options = ("--trusted-proxies", "10.0.0.0/8", "--forwarded-header", header)
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", *options) as service:
        answer = post(service, {**WRITTEN, **PASSED_ON})
        assert answer.json()["url"].startswith(f"{service.url}/msg/")
        assert logged_clients(service, 1) == {"127.0.0.1"}
