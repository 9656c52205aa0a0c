"""A Redis that accepts only TLS and client certificates, and grants only the permissions that the service needs."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests.integration.test_tls import make
from tests.support.programs import require
from tests.support.redis_server import RedisServer, free_port
from tests.support.service import answers, sample, serving, wait_for

ACL = Path(__file__).parents[2] / "docs" / "security.md"
PASSWORD = "hush_hush"  # shown to nobody but this test


class GuardedRedis(RedisServer):
    """A Redis with TLS and ACL. Its certificates and those of its clients are in `folder`."""

    def listen(self) -> tuple[str, ...]:
        return "--port", "0", "--tls-port", str(self.port)

    def client(self) -> redis.Redis:
        """Return a client with the service's certificate and password."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username="messaging_api",
            password=PASSWORD,
            ssl=True,
            ssl_ca_certs=str(self.folder / "ca.pem"),
            ssl_certfile=str(self.folder / "client.pem"),
            ssl_keyfile=str(self.folder / "client.key"),
        )

    def address(self, *files: str, password: str = PASSWORD) -> str:
        """Return the address for our store, with these of ca, cert and key."""
        paths = {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}
        options = "&".join(f"{name}={self.folder / paths[name]}" for name in files)
        return f"rediss://messaging_api:{password}@127.0.0.1:{self.port}/?{options}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRedis]:
    """Run a Redis with the permissions that docs/security.md recommends."""
    folder = tmp_path_factory.mktemp("guarded")
    make(folder, "127.0.0.1", file="redis")
    make(folder, "messaging_api", file="client")
    rights = re.search(r"```acl\n(.*?)```", ACL.read_text(), re.DOTALL)
    assert rights
    (folder / "users.acl").write_text(rights[1].replace("PASSWORD", PASSWORD))
    files = {
        "tls-cert-file": "redis.pem",
        "tls-key-file": "redis.key",
        "tls-ca-cert-file": "ca.pem",
        "aclfile": "users.acl",
    }
    options = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    server = GuardedRedis(folder, free_port(), (*options, "--maxmemory-policy", "noeviction"))
    server.start()
    yield server
    server.kill()


def test_documented_permissions_are_sufficient(guarded: GuardedRedis, tmp_path: Path) -> None:
    """Post, read, read out, receipt, burn, retry, limits, readiness, metrics: no command is rejected."""
    json = {"accept": "application/json"}
    limited = ("--limit-create", "60", "--limit-read", "60", "--limit-miss", "60")
    with (
        serving(tmp_path, guarded.address("ca", "cert", "key"), *limited) as service,
        httpx.Client(headers=json) as client,
    ):
        posted = client.post(
            service.url, json={"message": "x", "reads": 2}, headers={"idempotency-key": "k" * 22}
        ).json()
        again = client.post(
            service.url, json={"message": "x", "reads": 2}, headers={"idempotency-key": "k" * 22}
        ).json()
        assert again == posted
        assert [client.get(posted["url"]).status_code for _ in range(3)] == [200, 200, 404]
        assert client.get(posted["receipt"]).json()["state"] == "read"
        other = client.post(service.url, json={"message": "y"})
        assert other.headers["ratelimit"]
        assert client.delete(other.json()["receipt"]).json()["state"] == "burned"
        assert client.get(other.json()["url"]).status_code == 404
        assert sample(service.ops_url, "messaging_store_up") == 1
        assert sample(service.ops_url, "messaging_store_failures_total", reason="unavailable") == 0
        assert "uncounted" not in service.log.read_text()


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("CONFIG", "GET", "*"),
        ("MONITOR",),
        ("ACL", "LIST"),
        ("SAVE",),
        ("SHUTDOWN",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MODULE", "LIST"),
        ("PUBLISH", "x", "y"),
        ("GET", "elsewhere"),
        ("SET", "elsewhere", "x"),
        ("EVAL", "return redis.call('GET', 'elsewhere')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ],
)
def test_other_commands_and_keys_are_rejected(guarded: GuardedRedis, command: tuple[str, ...]) -> None:
    """With the service's password nobody can list keys, flush, configure or leave the prefix."""
    with pytest.raises(redis.ResponseError, match=r"(?i)no permissions|can't (access|run)"):
        guarded.client().execute_command(*command)


@pytest.mark.parametrize("files", [("ca",), ("cert", "key")])
def test_connection_requires_both_certificates(guarded: GuardedRedis, tmp_path: Path, files: tuple[str, ...]) -> None:
    """Without the client's certificate, or without trust in the server's, there is no connection."""
    with serving(tmp_path, guarded.address(*files), ready=False) as service:
        wait_for(lambda: answers(f"{service.ops_url}/live"))
        assert httpx.get(f"{service.ops_url}/ready").status_code == 503
        assert httpx.post(service.url, json={"message": "x"}).status_code == 503


def test_wrong_password_is_not_logged(guarded: GuardedRedis, tmp_path: Path) -> None:
    """The store is unavailable, and the log says so without the password."""
    with serving(tmp_path, guarded.address("ca", "cert", "key", password="wrongly"), ready=False) as service:
        wait_for(lambda: answers(f"{service.ops_url}/live"))
        assert httpx.post(service.url, json={"message": "x"}).status_code == 503
        wait_for(lambda: "store_failed" in service.log.read_text())
        assert "WRONGPASS" in service.log.read_text()
        assert "wrongly" not in service.log.read_text() + service.console.read_text()


def test_port_requires_tls_1_2(guarded: GuardedRedis) -> None:
    """The port accepts TLS 1.2 or later only."""
    with pytest.raises(redis.ConnectionError):
        redis.Redis(port=guarded.port).ping()
    command = [
        require("openssl"),
        "s_client",
        "-connect",
        f"127.0.0.1:{guarded.port}",
        "-tls1_1",
        "-cipher",
        "ALL:@SECLEVEL=0",
    ]
    told = subprocess.run(command, input="", capture_output=True, text=True, check=False).stdout
    assert "Cipher is (NONE)" in told
