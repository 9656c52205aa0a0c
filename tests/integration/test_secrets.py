"""A leaked store or log opens no message and names no link."""

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.redis_server import RedisServer, redis_running
from tests.support.service import Running, answers, serving, wait_for

TEXT = "the canary sings"
KEY = "idempotency-key-canary"


def dump_redis(server: RedisServer) -> bytes:
    """Return every key and value, and the file that Redis would write to disk."""
    client: Any = server.client()  # redis declares that it may decode; this one does not
    keys = list(client.scan_iter(count=1000))
    assert len(keys) > 5
    return b"\n".join(part for key in keys for part in (key, client.get(key) or b""))


def dump_files(folder: Path) -> bytes:
    """Return the content of every file, including the write-ahead log."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"m.db", "m.db-wal"} <= {path.name for path in files}
    return b"\n".join(path.read_bytes() for path in files)


@pytest.fixture(params=["sqlite", "redis"])
def leaked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[bytes, list[str]]]:
    """Yield everything that could leak after a run, and every secret of that run."""
    if request.param == "sqlite":
        with serving(tmp_path, f"sqlite://{tmp_path}/store/m.db", "--log-dir", str(tmp_path / "l")) as service:
            secrets = run(service)
            yield logs(service, tmp_path) + dump_files(tmp_path / "store"), secrets
    else:
        with redis_running(tmp_path, "--appendonly", "yes") as redis:
            with serving(tmp_path, redis.url, "--log-dir", str(tmp_path / "l")) as service:
                secrets = run(service)
                aof = b"".join(path.read_bytes() for path in tmp_path.rglob("*.aof"))
                assert aof
                everything = logs(service, tmp_path) + dump_redis(redis) + aof
                redis.kill()  # an outage, for the lines it brings
                httpx.get(f"{service.url}/msg/{secrets[0]}")
                redis.start()
                assert answers(f"{service.url}/")
            yield everything + logs(service, tmp_path), secrets


def logs(service: Running, folder: Path) -> bytes:
    """Return the log, from the file and from the console."""
    written = (folder / "l" / "messaging_api.log").read_bytes()
    assert written.count(b"\n") > 10
    return written + service.console.read_bytes()


def run(service: Running) -> list[str]:
    """Send one request of each kind: posts of every type, reads, misses, receipts, burns, rejections."""
    json, text = {"accept": "application/json"}, {"accept": "text/plain"}
    secrets = []
    with httpx.Client(base_url=service.url) as client:
        for options in (
            {"json": {"message": TEXT}, "headers": {"idempotency-key": KEY}},
            {"json": {"message": TEXT, "reads": 1}},
            {"data": {"message": TEXT}},
            {"files": {"message": TEXT.encode()}},
            {"content": TEXT.encode(), "headers": {"content-type": "text/plain"}},
        ):
            posted = client.post("/", **options).json()
            receipt = posted["receipt"].rsplit("/", 1)[1]
            secrets += [posted["message_id"], receipt]
            assert client.get(f"/msg/{posted['message_id']}", headers=text).text == TEXT
            client.get(f"/msg/{posted['message_id']}?{TEXT}", headers=json)
            client.get(f"/receipt/{receipt}", headers=json)
            client.get(f"/msg/{posted['message_id']}/")
            client.get(f"/{receipt}", headers={"x-request-id": receipt, "user-agent": receipt, "referer": receipt})
            client.request(receipt.upper(), f"/msg/{posted['message_id']}")
        client.delete(f"/receipt/{secrets[1]}")
        client.post("/", json={"message": TEXT, TEXT: 1})
        client.post("/", json={"message": TEXT + "x"}, headers={"idempotency-key": KEY})
        client.post(
            "/", content=b'{"message": "' + TEXT.encode() + b'\xff"}', headers={"content-type": "application/json"}
        )
    return secrets


def forms(secret: str) -> list[bytes]:
    """Return a secret as text and raw, in hex and base64, in either case."""
    raw = secret.encode()
    shapes = [raw, raw.upper(), raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]
    if len(secret) == 36:
        value = uuid.UUID(secret)
        shapes += [value.bytes, value.bytes_le, value.hex.encode(), value.hex.upper().encode()]
        shapes.append(base64.b64encode(value.bytes)[:20])
    return shapes


def test_store_and_logs_contain_no_secrets(leaked: tuple[bytes, list[str]]) -> None:
    """No id, link, message or idempotency key is in the store's files, memory or backups, or in any log."""
    everything, ids = leaked
    found = [secret for secret in (*ids, TEXT, KEY) for form in forms(secret) if form in everything]
    assert found == []


def test_search_finds_what_is_stored_on_purpose(leaked: tuple[bytes, list[str]]) -> None:
    """Control: the same search finds a route and the tag of a locator, which are there by design."""
    everything, _ = leaked
    assert b'"route":"/msg"' in everything
    assert b'"message":"' in everything


def test_malformed_multipart_is_not_logged(tmp_path: Path) -> None:
    """A text in malformed multipart is in no log line of the library that parses it."""
    headers = {"content-type": "multipart/form-data; boundary=b"}
    named = b'--b\r\ncontent-disposition: form-data; name="message"\r\n\r\n'
    bodies = [
        b"secret",
        b"--b secret",
        b"--b\r\n:secret\r\n",
        b"--b\r\nse cret: x\r\n\r\n",
        named + b"secret\r\n--b?",
        named,
    ]
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db", "--workers", "1") as service:
        for body in bodies:
            assert httpx.post(service.url, content=body, headers=headers).status_code == 400, body
        wait_for(lambda: '"reason":"invalid"' in service.log.read_text())
        assert '"event":"library"' not in service.log.read_text() + service.console.read_text()
