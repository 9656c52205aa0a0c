"""Tokens, CORS and the audit log over HTTP."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.support.service import COMMAND, Running, serving, wait_for

NOBODY = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"


def sqlite(folder: Path) -> str:
    return f"sqlite://{folder}/m.db"


def lines(service: Running, event: str) -> list[dict[str, Any]]:
    """Return the log lines of `event`."""
    told = [json.loads(line) for line in service.log.read_text().splitlines()]
    return [line for line in told if line["event"] == event]


def made_token() -> tuple[str, str]:
    """Return a token and its hash, from the command."""
    told = subprocess.run([COMMAND, "token"], capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(":", 1) for line in told.splitlines()[:2])
    return facts["token"].strip(), facts["hash"].strip()


def test_create_requires_a_valid_token(tmp_path: Path) -> None:
    """A missing or wrong token gets 401 with a challenge; a valid one creates. Reading needs none."""
    token, known = made_token()
    (tmp_path / "tokens").write_text(f"{'0' * 64},{known}\n")
    with serving(tmp_path, sqlite(tmp_path), MESSAGING_API_CREATE_TOKENS_FILE=str(tmp_path / "tokens")) as service:
        bare = httpx.post(service.url, json={"message": "x"})
        assert (bare.status_code, bare.headers["www-authenticate"]) == (401, 'Bearer realm="messaging_api"')
        assert bare.headers["content-type"] == "application/problem+json"
        wrong = httpx.post(service.url, json={"message": "x"}, headers={"authorization": f"Bearer {known}"})
        assert wrong.status_code == 401
        assert wrong.headers["www-authenticate"] == 'Bearer realm="messaging_api", error="invalid_token"'
        right = httpx.post(service.url, json={"message": "x"}, headers={"authorization": f"Bearer {token}"})
        assert right.status_code == 200
        assert httpx.get(right.json()["url"], headers={"accept": "text/plain"}).text == "x"
        assert httpx.delete(right.json()["receipt"]).status_code == 200
        wait_for(lambda: sum(line["count"] for line in lines(service, "refused")) == 2)
        assert {(line["reason"], line["status"]) for line in lines(service, "refused")} == {("token", 401)}
        everything = service.log.read_text() + service.console.read_text()
        assert token not in everything
        assert known not in everything


def test_request_without_a_token_is_rejected_before_its_body(tmp_path: Path) -> None:
    """The service does not read a body for a client that may not create."""
    with serving(tmp_path, sqlite(tmp_path), MESSAGING_API_CREATE_TOKENS=made_token()[1]) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 60000\r\n\r\n"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_cors_is_off_by_default(tmp_path: Path) -> None:
    """No site is allowed, and OPTIONS gets 405."""
    with serving(tmp_path, sqlite(tmp_path)) as service:
        assert httpx.options(service.url, headers={"origin": "https://a.example"}).status_code == 405
        answer = httpx.get(service.url, headers={"origin": "https://a.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_cors_allows_listed_origins_only(tmp_path: Path) -> None:
    """Only pages of a listed site may see responses, including rejections; preflights are answered."""
    here = {"origin": "https://a.example"}
    with serving(tmp_path, sqlite(tmp_path), "--cors-origins", "https://a.example, https://b.example") as service:
        for answer in (
            httpx.post(service.url, json={"message": "x"}, headers=here),
            httpx.get(f"{service.url}/msg/{NOBODY}", headers=here),
            httpx.options(service.url, headers={**here, "access-control-request-method": "POST"}),
        ):
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            assert "origin" in answer.headers["vary"]
        asked = httpx.options(f"{service.url}/receipt/{NOBODY}", headers=here)
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-methods"] == "GET, DELETE, HEAD"
        assert asked.headers["x-content-type-options"] == "nosniff"
        evil = httpx.options(service.url, headers={"origin": "https://evil.example"})
        assert not [name for name in evil.headers if name.startswith("access-control")]
        assert httpx.options(f"{service.url}/nowhere/at/all", headers=here).status_code == 404


def test_each_rejection_is_logged_with_client_request_and_reason(tmp_path: Path) -> None:
    """Limits, misses, wrong tokens and malformed requests can each be found by a reason code."""
    token, known = made_token()
    options = (
        "--workers",
        "1",
        "--limit-read",
        "4",
        "--limit-create",
        "3",
        "--limit-miss",
        "2",
        "--create-tokens",
        known,
    )
    may = {"authorization": f"Bearer {token}"}
    with serving(tmp_path, sqlite(tmp_path), *options) as service, httpx.Client(base_url=service.url) as client:
        asked = {
            "token": client.post("/", json={"message": "x"}),
            "invalid": client.post("/", json={"mesage": "x"}, headers=may),
            "too_large": client.post("/", json={"message": "x" * 70_000}, headers=may),
            "unknown_address": client.get("/nowhere"),
            "method_not_allowed": client.put("/"),
            "no_message": client.get(f"/msg/{NOBODY}"),
        }
        link = client.post("/", json={"message": "x", "reads": 2}, headers=may).json()["url"]
        asked["limit_create"] = client.post("/", json={"message": "x"}, headers=may)
        asked["name_a_format"] = client.get(link)
        client.get("/receipt/x")
        asked["limit_miss"] = client.get(link)
        wait_for(lambda: {line["reason"] for line in lines(service, "refused")} >= set(asked))
        told = {line["reason"]: line for line in lines(service, "refused") if line["count"] == 1}
        for reason, answer in asked.items():
            line = told[reason]
            assert line["request_id"] == answer.headers["x-request-id"], reason
            assert (line["client"], line["status"], line["level"]) == ("127.0.0.1", answer.status_code, "warning")


def test_flood_of_rejections_is_aggregated(tmp_path: Path) -> None:
    """1,000 rejections are a few lines whose counts add up; the metric counts all of them."""
    options = ("--workers", "1", "--limit-create", "1")
    with serving(tmp_path, sqlite(tmp_path), *options) as service, httpx.Client(base_url=service.url) as client:
        for _ in range(1001):
            client.post("/", json={"message": "x"})
        wait_for(lambda: sum(line["count"] for line in lines(service, "refused")) == 1000)
        assert len(lines(service, "refused")) <= 30
        assert len(lines(service, "request")) == 1
        assert 'messaging_refusals_total{reason="limit_create"} 1000.0' in httpx.get(f"{service.ops_url}/metrics").text


def test_unwritable_log_folder_does_not_stop_the_service(tmp_path: Path) -> None:
    """Requests are served and rejected as usual; the console has the lines and reports the file once."""
    options = ("--workers", "1", "--limit-create", "1", "--log-dir", "/dev/null/logs")
    with serving(tmp_path, sqlite(tmp_path), *options) as service, httpx.Client(base_url=service.url) as client:
        assert [client.post("/", json={"message": "x"}).status_code for _ in range(3)] == [200, 429, 429]
        assert client.get("/docs").status_code == 200
        wait_for(lambda: '"reason":"limit_create"' in service.console.read_text())
        assert "log_file_failed" in service.console.read_text()
        assert "messaging_log_failures_total 0.0" not in httpx.get(f"{service.ops_url}/metrics").text


FORGED = b'{"event":"forged"}'


def test_client_cannot_forge_a_log_line(tmp_path: Path) -> None:
    """Line breaks, control characters and quotes in any part of a request add no line of their own."""
    options = ("--workers", "1", "--trusted-proxies", "127.0.0.1", "--cors-origins", "*")
    quoted, escape = b'","event":"forged","x":"', b"\x1b[2J\x9b2J"
    odd = (b"x\n" + FORGED, b"x\r" + FORGED, quoted, escape, b"\x85\xe2\x80\xa8" + FORGED, b"\xff\x00")
    with serving(tmp_path, sqlite(tmp_path), *options) as service:
        for value in odd:
            escaped = b"".join(b"%%%02x" % byte for byte in value)
            for head in (
                b"GET /msg/" + escaped + b" HTTP/1.1\r\nhost: x",
                b"GET /msg/" + value + b" HTTP/1.1\r\nhost: x",
                b"GET /?" + escaped + b" HTTP/1.1\r\nhost: x",
                b"GET / HTTP/1.1\r\nhost: " + value,
                value + b" / HTTP/1.1\r\nhost: x",
                b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-type: " + value,
                b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: " + value,
                b'GET / HTTP/1.1\r\nhost: x\r\nforwarded: for="' + value + b'"',
                b"GET / HTTP/1.1\r\nhost: x\r\norigin: " + value,
                b"POST / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + value,
                b"GET / HTTP/1.1\r\nhost: x\r\nuser-agent: " + value + b"\r\nreferer: " + value,
            ):
                ask(service.url, head + b"\r\nconnection: close\r\n\r\n")
        wait_for(lambda: sum(line["count"] for line in lines(service, "refused")) >= len(odd))
        for kept in (service.log.read_bytes(), service.console.read_bytes()):
            told = [json.loads(line) for line in kept.splitlines()]
            assert {line["event"] for line in told} <= {"started", "request", "refused"}
            assert all(line.get("client", "127.0.0.1") == "127.0.0.1" for line in told)
            assert b"forged" not in kept
            assert not set(kept) & (set(range(32)) - {10} | {127})


def ask(url: str, request: bytes) -> bytes:
    """Return the response to these bytes."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""
