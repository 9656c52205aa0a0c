"""The operator's view: health, metrics, logs, the command."""

import datetime as dt
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from messaging_api import __version__
from tests.support.service import COMMAND, sample, serving, wait_for


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command; return its exit code and its output."""
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30, env={**os.environ, **environ}
    )


def test_metrics_add_up_all_processes(tmp_path: Path) -> None:
    """The counts of all workers are added up, in Prometheus' text format."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "3") as service:
        for _ in range(30):
            posted = httpx.post(service.url, json={"message": "x"}).json()
        httpx.get(posted["url"])
        httpx.get(f"{service.url}/msg/x")
        httpx.delete(posted["receipt"])
        wait_for(lambda: sample(service.ops_url, "messaging_messages_total", event="burned") == 1)
        assert sample(service.ops_url, "messaging_messages_total", event="created") == 30
        assert sample(service.ops_url, "messaging_requests_total", route="/", method="POST", status="200") == 30
        assert sample(service.ops_url, "messaging_requests_total", route="/msg", method="GET", status="404") == 1
        assert sample(service.ops_url, "messaging_request_duration_seconds_count", route="/msg") == 2


def test_ops_port_has_its_own_addresses_only(tmp_path: Path) -> None:
    """Unknown addresses are 404, other methods 405 with Allow; HEAD is answered."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        assert httpx.get(f"{service.ops_url}/").status_code == 404
        refused = httpx.post(f"{service.ops_url}/metrics")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert httpx.head(f"{service.ops_url}/live").status_code == 200


def test_drain_fails_readiness_and_keeps_serving(tmp_path: Path) -> None:
    """On SIGTERM /ready returns 503 while everything else works as before; a second SIGTERM ends the drain."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--drain-seconds", "600") as service:
        service.process.terminate()
        wait_for(lambda: httpx.get(f"{service.ops_url}/ready").status_code == 503)
        assert "about to stop" in httpx.get(f"{service.ops_url}/ready").text
        assert httpx.get(f"{service.ops_url}/live").status_code == 200
        posted = httpx.post(service.url, json={"message": "x"})
        assert httpx.get(posted.headers["location"]).json()["message"] == "x"
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_for(lambda: httpx.get(f"{service.ops_url}/live").status_code == 200)
        assert service.stop() == 0
        assert '"event":"stopping"' in service.log.read_text()


def test_each_request_is_one_json_line_with_its_id(tmp_path: Path) -> None:
    """Each request is one line in the file and on the console, with the id that its response has."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        answer = httpx.get(service.url)
        wait_for(lambda: answer.headers["x-request-id"] in service.log.read_text())
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        (line,) = (line for line in lines if line["request_id"] == answer.headers["x-request-id"])
        assert (line["event"], line["method"], line["route"], line["status"]) == ("request", "GET", "/", 200)
        assert line["client"] == "127.0.0.1"
        assert answer.headers["x-request-id"] in service.console.read_text()


def test_spoofed_forwarding_headers_change_nothing(tmp_path: Path) -> None:
    """X-Forwarded-For, Forwarded and X-Forwarded-Proto of an untrusted peer change neither log nor links."""
    said = {
        "x-forwarded-for": "203.0.113.7",
        "forwarded": "for=203.0.113.7;proto=https;host=evil.example",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil.example",
    }
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        answer = httpx.post(service.url, json={"message": "x"}, headers=said)
        assert answer.json()["url"].startswith(f"{service.url}/msg/")
        wait_for(lambda: answer.headers["x-request-id"] in service.log.read_text())
        (line,) = (line for line in service.log.read_text().splitlines() if answer.headers["x-request-id"] in line)
        assert json.loads(line)["client"] == "127.0.0.1"
        assert "203.0.113.7" not in service.log.read_text()


def test_old_log_is_rotated_at_start(tmp_path: Path) -> None:
    """A log last written on an earlier day gets that day's name."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "messaging_api.log").write_text("old\n")
    then = dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC).timestamp()
    os.utime(logs / "messaging_api.log", (then, then))
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        assert (logs / "messaging_api.log.260102").read_text() == "old\n"
        assert "old" not in service.log.read_text()


def test_garbage_gets_a_problem(tmp_path: Path) -> None:
    """Bytes that are not HTTP get problem+json with the security headers, and the connection ends."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        head, body = answer.split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in head
        assert b"x-content-type-options: nosniff" in head
        assert json.loads(body)["status"] == 400


def test_an_id_of_control_characters_is_a_miss(tmp_path: Path) -> None:
    """A malformed id that a proxy might not pass on gets the same response as any other unknown id."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        odd, unknown = (httpx.get(f"{service.url}/msg/{name}") for name in ("%00", "x"))
        assert (odd.status_code, odd.content) == (404, unknown.content)


def test_links_begin_with_public_url(tmp_path: Path) -> None:
    """Links begin with public_url, whatever host the client requested."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--public-url", "https://msg.example/x/") as service:
        posted = httpx.post(service.url, json={"message": "x"}).json()
        assert posted["url"] == f"https://msg.example/x/msg/{posted['message_id']}"
        assert posted["receipt"].startswith("https://msg.example/x/receipt/")


def test_settings_command_shows_values_and_sources() -> None:
    """`messaging-api settings` shows value, source and meaning of each; a password is hidden."""
    told = command("settings", "--port", "5001", MESSAGING_API_STORE="redis://u:hush@h/1", MESSAGING_API_WORKERS="3")
    assert told.returncode == 0
    rows = {line.split()[0]: line for line in told.stdout.splitlines()[1:]}
    assert rows["port"].split()[1:3] == ["5001", "option"]
    assert rows["workers"].split()[1:3] == ["3", "environment"]
    assert rows["max_ttl"].split()[1:3] == ["604800", "default"]
    assert "redis://***@h/1" in rows["store"]
    assert "hush" not in told.stdout


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["serve", "--port", "x"], {}, "--port must be: 0 to 65535"),
        (["serve", "--nonsense"], {}, "No such option '--nonsense'."),
        (["serve"], {"MESSAGING_API_PROT": "1"}, "MESSAGING_API_PROT is not a setting"),
        (["serve"], {"MESSAGING_API_WORKERS": "0"}, "MESSAGING_API_WORKERS must be: 1 to 256"),
        (["serve"], {"MESSAGING_API_STORE_FILE": "/nowhere"}, "/nowhere cannot be read"),
        (["serve", "--store", "mysql://x"], {}, "sqlite"),
        (["serve", "--store", "sqlite://relative.db"], {}, "three slashes"),
        (["serve", "--store", "sqlite:////proc/nowhere/m.db"], {}, "cannot be opened"),
        (["serve", "--store", "redis://:hush@/x"], {}, "host:port"),
        (["serve", "--host", "203.0.113.1", "--store", "redis://127.0.0.1:1"], {}, "Cannot listen on 203.0.113.1"),
    ],
)
def test_invalid_setting_prevents_the_start(arguments: list[str], environ: dict[str, str], words: str) -> None:
    """A setting that is unknown, malformed or cannot work ends the start with one plain line."""
    refused = command(*arguments, **environ)
    assert refused.returncode == (1 if words == "cannot be opened" else 2)
    assert refused.stderr.startswith("messaging-api: ")
    assert refused.stderr.count("\n") == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "hush" not in refused.stderr


def test_help_names_commands_and_variables() -> None:
    """--help names the first command to use, and shows each option with its default, and how its variable is called."""
    assert "messaging-api serve" in command("--help").stdout
    shown = command("serve", "--help").stdout
    assert "MESSAGING_API_MAX_TTL" in shown
    assert re.search(
        r"--max-ttl +1 to 31622400 .*\[default: 604800\]", command("serve", "--help", COLUMNS="200").stdout
    )
    assert __version__ in command("--version").stdout
