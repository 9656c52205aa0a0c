"""From a fresh checkout to the first message, and the data that outlives the containers."""

import json
import os
import subprocess
import sys
import uuid
from functools import partial

import httpx
import pytest

from messaging_api import __version__
from tests.support.compose_stack import SERVICES, Stack, console, run
from tests.support.programs import require
from tests.support.service import wait_for

TEXT = {"accept": "text/plain"}
LOG = "/var/log/messaging_api/messaging_api.log"
LONG_AGO = 1_767_312_000
"""2 January 2026."""


def post(stack: Stack, message: str) -> str:
    """Post a message through the edge; return its path."""
    with stack.client() as client:
        url: str = client.post("/", json={"message": message}).raise_for_status().json()["url"]
    assert url.startswith(f"{stack.url}/msg/")
    return url.removeprefix(stack.url)


def read(stack: Stack, path: str) -> str:
    """Return the message at this path."""
    with stack.client() as client:
        return client.get(path, headers=TEXT).raise_for_status().text


def test_message_is_posted_and_read(stack: Stack) -> None:
    """A message is posted and read over https, with a verified certificate."""
    assert read(stack, post(stack, "through the edge")) == "through the edge"


def test_service_logs_the_address_of_the_client(stack: Stack) -> None:
    """Its log has the client of the edge, neither the edge nor the address that the client claims."""
    with stack.client() as client:
        answer = client.get("/", headers={"x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.7"})
    wait_for(lambda: answer.headers["x-request-id"] in stack.exec("messaging_api", "cat", LOG))
    log = stack.exec("messaging_api", "cat", LOG)
    (line,) = (json.loads(line) for line in log.splitlines() if answer.headers["x-request-id"] in line)
    (seen,) = (
        json.loads(line) for line in stack.console("edge").splitlines() if answer.headers["x-request-id"] in line
    )
    assert line["client"] == seen["client"]
    assert line["client"] not in (stack.address("edge", "frontend"), "203.0.113.7")


def test_edge_speaks_http2(stack: Stack) -> None:
    """curl gets HTTP/2."""
    asked = [require("curl"), "--silent", "--show-error", "--cacert", str(stack.certificate), "--data", "message=two"]
    told = run(*asked, "--output", os.devnull, "--write-out", "%{http_version} %{http_code}", stack.url)
    assert told == "2 200"


def test_plain_http_redirects_only_the_front_page(stack: Stack) -> None:
    """Port 80 redirects the page; a link or message sent there is rejected, so that its sender notices."""
    plain = f"http://localhost:{stack.http_port}"
    led = httpx.get(plain)
    assert (led.status_code, led.headers["location"]) == (308, "https://localhost/")
    for refused in (httpx.post(plain, data={"message": "x"}), httpx.get(f"{plain}/msg/x")):
        assert (refused.status_code, refused.json()["type"]) == (403, "/docs#plain-http")
        assert "strict-transport-security" not in refused.headers


@pytest.mark.parametrize(
    ("version", "works"), [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)]
)
def test_only_tls_1_2_and_1_3_are_accepted(stack: Stack, version: str, works: bool) -> None:  # noqa: FBT001 a case of the table
    """Older versions are rejected, whatever the client accepts."""
    probe = f"""
import socket, ssl, sys, warnings
warnings.simplefilter("ignore")
context = ssl.create_default_context(cafile={str(stack.certificate)!r})
context.set_ciphers("ALL:@SECLEVEL=0")
context.minimum_version = context.maximum_version = ssl.TLSVersion.{version}
with socket.create_connection(("localhost", {stack.https_port})) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as secure:
        print(secure.version())
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is works
    assert works or "PROTOCOL_VERSION" in done.stderr


def test_second_start_overwrites_nothing(stack: Stack) -> None:
    """When run again, it leaves every file as it was."""
    files = {path: path.read_bytes() for path in (stack.folder / "secrets").rglob("*") if path.is_file()}
    assert len(files) == 5
    assert run("scripts/first-start", folder=stack.folder) == ""
    assert {path: path.read_bytes() for path in (stack.folder / "secrets").rglob("*") if path.is_file()} == files


def test_secrets_are_readable_by_their_owner_only(stack: Stack) -> None:
    """Only the owner can open the folder."""
    assert (stack.folder / "secrets").stat().st_mode & 0o777 == 0o700


def test_images_and_environments_contain_no_secret(stack: Stack) -> None:
    """No secret is in a layer, in its history, or in the output of `docker inspect` for a container."""
    key = (stack.folder / "secrets/tls/privkey.pem").read_text().splitlines()[1]
    for service in SERVICES:
        layers = subprocess.run(["docker", "save", stack.image(service)], capture_output=True, check=True).stdout
        told = json.dumps(stack.inspect(service)).encode()
        assert b"root:x:0:0:" in layers
        assert not [secret for secret in (stack.password, key) if secret.encode() in layers + told]


def test_image_has_oci_labels(stack: Stack) -> None:
    """The labels have the version of the package in the image."""
    labels = json.loads(run("docker", "inspect", stack.image("messaging_api")))[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert __version__ in stack.exec("messaging_api", "messaging-api", "--version")


def test_down_and_up_keep_messages_and_logs(stack: Stack) -> None:
    """Messages, messaging_api.log and the logs of past days outlive the containers."""
    path, marker = post(stack, "still here"), uuid.uuid4().hex
    age = f"import os; open({LOG!r}, 'a').write('{marker}\\n'); os.utime({LOG!r}, ({LONG_AGO}, {LONG_AGO}))"
    mounted = ("--volume", f"{stack.project}_logs:/var/log/messaging_api", "--entrypoint", "python")
    stack.down()
    run("docker", "run", "--rm", *mounted, stack.image("messaging_api"), "-c", age)
    stack.up()
    assert read(stack, path) == "still here"
    today = stack.exec("messaging_api", "cat", LOG)
    assert marker not in today
    stack.down()
    stack.up()
    assert read(stack, path) == "still here"
    assert marker in stack.exec("messaging_api", "cat", f"{LOG}.260102")
    assert stack.exec("messaging_api", "cat", LOG).startswith(today)


def test_three_services_share_requests_and_messages(stack: Stack) -> None:
    """Each of three services gets requests, and all serve the same messages."""
    path = post(stack, "any of them")
    stack.up("--scale", "messaging_api=3")
    containers = stack.compose("ps", "--quiet", "messaging_api").split()

    def served(container: str) -> bool:
        read(stack, path)
        return '"route":"/msg"' in console(container)

    assert len(containers) == 3
    for container in containers:
        wait_for(partial(served, container))
    stack.up("--scale", "messaging_api=1")


def test_stop_ends_the_service_before_it_is_killed(stack: Stack) -> None:
    """`docker compose stop` ends the service before the engine would kill it."""
    stack.compose("stop", "messaging_api")
    stopped = stack.compose("ps", "--all", "--format", "{{.ExitCode}}", "messaging_api")
    stack.up()
    assert stopped.strip() == "0"
