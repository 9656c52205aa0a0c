"""TLS in the service itself: versions and ciphers, renewed certificates, and the plain port."""

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.programs import require
from tests.support.raw_http import raw
from tests.support.redis_server import free_port
from tests.support.service import COMMAND, Running, children, sample, serving, wait_for
from tests.support.threads import ThreadedLoad


def make(folder: Path, *names: str, file: str = "server") -> tuple[Path, Path]:
    """Make a certificate for these names with the authority in `folder`; return the paths of it and its key."""
    command = [COMMAND, "cert", *names, "--folder", str(folder), "--file", file]
    subprocess.run(command, check=True, capture_output=True)
    return folder / f"{file}.pem", folder / f"{file}.key"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Make a folder with an authority and a certificate for this machine."""
    make(tmp_path / "certificates")
    return tmp_path / "certificates"


@contextlib.contextmanager
def secured(folder: Path, certificates: Path, *options: str) -> Iterator[Running]:
    """Run a service that speaks TLS."""
    pair = ("--tls-cert", str(certificates / "server.pem"), "--tls-key", str(certificates / "server.key"))
    with serving(folder, f"sqlite://{folder}/m.db", "--workers", "2", *pair, *options) as service:
        yield service


def trusting(certificates: Path) -> ssl.SSLContext:
    """Return the strictest client context of Python that trusts only the authority in `certificates`."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def serial(service: Running, certificates: Path) -> str:
    """Return the serial number of the certificate that a new connection gets."""
    parts = urlsplit(service.url)
    with (
        socket.create_connection((parts.hostname, parts.port)) as connection,
        trusting(certificates).wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        shown = secured.getpeercert()
        assert shown
        return str(shown["serialNumber"])


def test_messages_over_tls_have_https_links_and_hsts(tmp_path: Path, certificates: Path) -> None:
    """Links begin with https, every response has HSTS, and the protocol is HTTP/1.1."""
    with secured(tmp_path, certificates) as service, httpx.Client(verify=trusting(certificates)) as client:
        assert service.url.startswith("https://")
        posted = client.post(service.url, json={"message": "x", "reads": 1})
        assert posted.json()["url"].startswith(f"{service.url}/msg/")
        read = client.get(posted.json()["url"], headers={"accept": "text/plain"})
        assert read.text == "x"
        for answer in (posted, read, client.get(f"{service.url}/nowhere")):
            assert answer.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"


def test_plain_http_has_no_hsts(tmp_path: Path) -> None:
    """Browsers must ignore it over plain HTTP (RFC 6797, section 7.2)."""
    with serving(tmp_path, f"sqlite://{tmp_path}/m.db") as service:
        assert "strict-transport-security" not in httpx.get(service.url).headers


@pytest.mark.parametrize(
    ("options", "agreed"),
    [
        (["-tls1"], None),
        (["-tls1_1"], None),
        (["-tls1_2", "-cipher", "AES256-SHA:AES256-GCM-SHA384"], None),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"], None),
        (["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"], None),
        (["-tls1_2"], "ECDHE-ECDSA-"),
        (["-tls1_3"], "TLS_AES_256_GCM_SHA384"),
    ],
)
def test_tls_versions_and_ciphers(tmp_path: Path, certificates: Path, options: list[str], agreed: str | None) -> None:
    """openssl and the service agree on TLS 1.2 and 1.3 with forward secrecy, and on nothing else."""
    with secured(tmp_path, certificates) as service:
        wait_for(lambda: serial(service, certificates))
        level = [] if "-cipher" in options else ["-cipher", "ALL:@SECLEVEL=0"]
        told = s_client(service, "-CAfile", str(certificates / "ca.pem"), *level, *options)
        found = re.search(r"Cipher is (\S+)", told)
        assert found
        if agreed is None:
            assert found[1] == "(NONE)"
            wait_for(lambda: '"reason":"tls_failed"' in service.log.read_text())
        else:
            assert found[1].startswith(agreed)
            assert "Verify return code: 0 (ok)" in told
            assert "Secure Renegotiation IS" in told
            assert "Compression: NONE" in told


def s_client(service: Running, *options: str) -> str:
    """Return the output of openssl about a handshake with the service."""
    return openssl("s_client", "-connect", urlsplit(service.url).netloc, *options)


def openssl(*arguments: str) -> str:
    """Return the output of the command."""
    command = [require("openssl"), *arguments]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False).stdout


def test_no_session_tickets_are_issued(tmp_path: Path, certificates: Path) -> None:
    """No ticket lets a later connection skip the key exchange."""
    with secured(tmp_path, certificates) as service:
        wait_for(lambda: serial(service, certificates))
        told = s_client(service, "-tls1_2")
        assert "Cipher is ECDHE" in told
        assert "TLS session ticket" not in told


def test_failed_handshakes_are_logged(tmp_path: Path, certificates: Path) -> None:
    """A client that speaks no TLS, or sends nothing, is counted and logged with its address and a reason."""
    with secured(tmp_path, certificates, "--head-timeout", "0.5") as service:
        with raw(service.url, 2) as (wrong, silent):
            wrong.send(b"\x16 this is no handshake\r\n\r\n")
            wrong.wait_closed()
            silent.wait_closed()
        wait_for(lambda: sample(service.ops_url, "messaging_refusals_total", reason="tls_failed") == 2)
        wait_for(lambda: service.log.read_text().count('"reason":"tls_failed"') == 2)
        lines = [json.loads(line) for line in service.log.read_text().splitlines() if "tls_failed" in line]
        assert {line["detail"] for line in lines} == {"WRONG_VERSION_NUMBER", "TimeoutError"}
        assert {line["client"] for line in lines} == {"127.0.0.1"}


class Load(ThreadedLoad):
    """An endless load from several threads, on persistent and on new connections."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        super().__init__(self._ask, (True, True, False, False))
        self._url = url
        self._context = context
        self.answered = 0
        self.failed: list[str] = []

    def _ask(self, keep: bool) -> None:  # noqa: FBT001
        while not self._enough.is_set():
            with httpx.Client(verify=self._context, timeout=30) as client:  # none may fail, however busy the machine
                self._ask_with(client, keep)

    def _ask_with(self, client: httpx.Client, keep: bool) -> None:  # noqa: FBT001
        try:
            client.get(self._url).raise_for_status()
            self.answered += 1
            while keep and not self._enough.is_set():
                client.get(self._url).raise_for_status()
                self.answered += 1
        except httpx.HTTPError as error:
            self.failed.append(repr(error))

    def goes_on(self) -> None:
        """Wait for a hundred more responses."""
        enough = self.answered + 100
        wait_for(lambda: self.answered > enough)


def renew(certificates: Path) -> str:
    """Replace the certificate and key; return the new serial number."""
    certificate, key = make(certificates, file="renewed")
    key.replace(certificates / "server.key")
    told = openssl("x509", "-noout", "-serial", "-in", str(certificate))
    certificate.replace(certificates / "server.pem")
    return told.strip().removeprefix("serial=")


def test_renewed_certificate_is_used_under_load(tmp_path: Path, certificates: Path) -> None:
    """New connections of every worker get the new certificate; no request fails and no connection is closed."""
    with secured(tmp_path, certificates) as service, Load(service.url, trusting(certificates)) as load:
        load.goes_on()
        before = serial(service, certificates)
        renewed = renew(certificates)
        assert renewed != before
        wait_for(lambda: service.log.read_text().count('"event":"tls_renewed"') == 2)
        load.goes_on()
        assert {serial(service, certificates) for _ in range(10)} == {renewed}
    assert load.failed == []


def put(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that each worker sees one change of it."""
    aside = path.with_suffix(".aside")
    aside.write_bytes(content)
    aside.replace(path)


def test_mismatched_certificate_is_ignored(tmp_path: Path, certificates: Path) -> None:
    """A certificate of another key, or half a file, is only logged; the next valid pair is used."""
    with secured(tmp_path, certificates) as service, Load(service.url, trusting(certificates)) as load:
        load.goes_on()
        before = serial(service, certificates)
        certificate, key = make(certificates, file="other")
        put(certificates / "server.pem", certificate.read_bytes())
        wait_for(lambda: service.log.read_text().count('"reason":"KEY_VALUES_MISMATCH"') == 2)
        put(certificates / "server.key", key.read_bytes()[:100])
        wait_for(lambda: service.log.read_text().count('"event":"tls_kept"') == 4)
        load.goes_on()
        assert serial(service, certificates) == before
        put(certificates / "server.key", key.read_bytes())
        wait_for(lambda: service.log.read_text().count('"event":"tls_renewed"') == 2)
        assert serial(service, certificates) != before
        load.goes_on()
    assert load.failed == []


def test_plain_port_redirects_only_the_front_page(tmp_path: Path, certificates: Path) -> None:
    """GET and HEAD of / get 308; a link or message over plain HTTP is rejected, with a warning that it is exposed."""
    plain = f"http://127.0.0.1:{(port := free_port())}"
    with secured(tmp_path, certificates, "--redirect-port", str(port)) as service:
        wait_for(lambda: reachable(plain))
        for method in ("GET", "HEAD"):
            led = httpx.request(method, f"{plain}/", headers={"host": "localhost"})
            assert (led.status_code, led.headers["location"]) == (
                308,
                f"https://localhost:{urlsplit(service.url).port}/",
            )
            assert led.headers["cache-control"] == "no-store"
        for method, path in (("POST", "/"), ("GET", "/msg/00000000-0000-4000-8000-000000000000"), ("GET", "/docs")):
            refused = httpx.request(method, plain + path)
            assert refused.status_code == 403
            assert refused.json()["type"] == "/docs#plain-http"
            assert "strict-transport-security" not in refused.headers
        assert httpx.get(plain, headers={"host": "a b"}).status_code == 400
        assert sample(service.ops_url, "messaging_refusals_total", reason="plain_http") == 3
        assert sample(service.ops_url, "messaging_messages_total", event="created") == 0


def reachable(url: str) -> bool:
    """Return whether a server answers."""
    try:
        return bool(httpx.head(url))
    except httpx.TransportError:
        return False


def test_plain_port_redirects_to_public_url(tmp_path: Path, certificates: Path) -> None:
    """public_url takes precedence over the Host header."""
    port = free_port()
    with secured(tmp_path, certificates, "--redirect-port", str(port), "--public-url", "https://msg.example"):
        wait_for(lambda: reachable(f"http://127.0.0.1:{port}"))
        assert httpx.get(f"http://127.0.0.1:{port}").headers["location"] == "https://msg.example/"


def test_tls_connections_over_the_limit_are_rejected(tmp_path: Path, certificates: Path) -> None:
    """They get a response; unfinished handshakes count too."""
    with secured(tmp_path, certificates, "--max-connections", "2") as service:
        context = trusting(certificates)
        with contextlib.ExitStack() as kept:
            for _ in range(4):
                client = kept.enter_context(httpx.Client(verify=context))
                while client.get(service.url).status_code != 200:
                    pass
            refusal = httpx.get(service.url, verify=context)
            assert refusal.status_code == 503
            assert refusal.headers["strict-transport-security"]
        with raw(service.url, 20) as silent:
            wait_for(lambda: sum(one.open() for one in silent) <= 4)


def test_stop_under_load_over_tls_finishes_requests(tmp_path: Path, certificates: Path) -> None:
    """Connected clients are answered, an unfinished handshake is not waited for, and no process remains."""
    with (
        secured(tmp_path, certificates) as service,
        raw(service.url),
        Load(service.url, trusting(certificates)) as load,
    ):
        load.goes_on()
        workers = children(service.process.pid)
        assert service.stop() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert [failure for failure in load.failed if "ConnectError" not in failure] == []


def test_cert_command_makes_private_keys_and_overwrites_nothing(tmp_path: Path) -> None:
    """Only the owner can read keys, no file is overwritten, the authority is made once, names are validated."""
    os.umask(0)
    certificate, key = make(tmp_path, "msg.example", "10.0.0.1", "*.example")
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert key.stat().st_mode & 0o777 == 0o600
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = subprocess.run([COMMAND, "cert", "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "already exists" in " ".join(again.stderr.replace("│", " ").split())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    make(tmp_path, file="client")
    assert (tmp_path / "ca.pem").read_bytes() == before["ca.pem"]
    for file in ("server", "client"):
        paths = str(tmp_path / "ca.pem"), str(tmp_path / f"{file}.pem")
        assert openssl("verify", "-x509_strict", "-CAfile", *paths).endswith(": OK\n")
    told = openssl("x509", "-text", "-in", str(certificate))
    assert "DNS:msg.example, IP Address:10.0.0.1, DNS:*.example" in told
    wrong = subprocess.run(
        [COMMAND, "cert", "a b", "--folder", str(tmp_path), "--file", "x"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode != 0
    assert not (tmp_path / "x.key").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tls-cert", "server.pem"], "go together"),
        (["--redirect-port", "8080"], "redirect_port needs them"),
        (["--tls-cert", "nowhere.pem", "--tls-key", "server.key"], "No such file"),
        (["--tls-cert", "server.pem", "--tls-key", "ca.key"], "KEY_VALUES_MISMATCH"),
        (["--tls-cert", "server.pem", "--tls-key", "server.pem"], "cannot be used"),
    ],
)
def test_invalid_certificate_prevents_the_start(certificates: Path, options: list[str], words: str) -> None:
    """The error is one plain line."""
    refused = subprocess.run(
        [COMMAND, "serve", "--store", "sqlite:////tmp/x.db", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=certificates,
    )
    assert refused.returncode != 0
    assert words in " ".join(refused.stderr.replace("│", " ").split())
