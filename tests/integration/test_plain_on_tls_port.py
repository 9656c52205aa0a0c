"""Plain HTTP on the TLS port, and uploads over TLS."""

import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.test_http1_clients import Upload, upload_curl, upload_httpx
from tests.integration.test_http1_connection import GET
from tests.integration.test_tls import make
from tests.support.programs import require
from tests.support.raw_http import raw
from tests.support.service import Running, serving, wait_for


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service that speaks TLS."""
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = make(folder / "certificates")
    pair = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving(folder, f"sqlite://{folder}/m.db", "--workers", "1", "--head-timeout", "1", *pair) as running:
        yield running


def test_plain_http_gets_a_problem_about_https(secured: Running) -> None:
    """curl http://… gets a problem that names https."""
    command = [require("curl"), "--silent", "--include", secured.url.replace("https://", "http://")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    head, _, body = told.partition("\n\n")
    assert head.startswith("HTTP/1.1 400 ")
    assert "application/problem+json" in head
    problem = json.loads(body)
    assert problem["type"] == "/docs#https-required"
    assert "https://" in problem["detail"]
    wait_for(lambda: '"reason":"https_required"' in secured.log.read_text())


def test_tls_client_with_a_late_first_byte_is_served(secured: Running) -> None:
    """A TLS client is served, also when its first byte comes late and alone."""
    assert httpx.get(secured.url, verify=False).status_code == 200  # noqa: S501
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing)
    with raw(secured.url) as (client,):
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        hello = outgoing.read()
        client.send(hello[:1])
        assert httpx.get(secured.url, verify=False).status_code == 200  # noqa: S501
        client.send(hello[1:])
        while True:
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                incoming.write(client.socket.recv(65536))
            else:
                break
        session.write(GET)
        client.send(outgoing.read())
        incoming.write(client.socket.recv(65536))
        assert session.read(65536).startswith(b"HTTP/1.1 200 ")


def test_silent_connection_is_closed(secured: Running) -> None:
    """A client that connects and sends nothing is disconnected at the head timeout."""
    with raw(secured.url) as (client,):
        begin = time.monotonic()
        assert client.wait_closed() == b""
        assert 0.9 < time.monotonic() - begin < 8


@pytest.mark.parametrize("upload", [upload_httpx, upload_curl])
def test_large_upload_over_tls_gets_413(secured: Running, upload: Upload) -> None:
    """The response arrives over TLS too."""
    assert [upload(secured.url) for _ in range(3)] == [413] * 3
