"""Redis can be reached by the service and by nobody else."""

import json

import pytest

from tests.support.compose_stack import Stack, run

ASK = """
import socket, sys
host, password = sys.argv[1:]
try:
    with socket.create_connection((host, 6379), timeout=3) as connection:
        connection.settimeout(3)
        connection.sendall(f"AUTH messaging_api {password}\\r\\nPING\\r\\n".encode())
        said = connection.recv(100)
        while said.count(b"\\r\\n") < 2 and (more := connection.recv(100)):
            said += more
        print(said)
except OSError as error:
    print(type(error).__name__)
"""
"""Logs in as the service does. A connection alone would prove nothing: a gateway may accept any."""


def default_routes(table: str) -> list[str]:
    """The ways out in /proc/net/route."""
    return [line for line in table.splitlines() if line.split()[1] == "00000000"]


def test_the_service_reaches_it(stack: Stack) -> None:
    """From where the service is, Redis answers: the question is right."""
    where = f"container:{stack.container('messaging_api')}"
    assert "+PONG" in stack.python(where, ASK, stack.address("redis", "backend"), stack.password)


@pytest.mark.parametrize("where", ["the edge", "frontend", "the default bridge"])
def test_nobody_else_does(stack: Stack, where: str) -> None:
    """From where the edge is, from its network, and from the engine's default network there is no answer."""
    network = {
        "the edge": f"container:{stack.container('edge')}",
        "frontend": f"{stack.project}_frontend",
        "the default bridge": "bridge",
    }[where]
    assert "PONG" not in stack.python(network, ASK, stack.address("redis", "backend"), stack.password)


def test_it_is_the_split_that_keeps_it_away(stack: Stack) -> None:
    """The control: with Redis in the edge's network too, whoever is there gets its answer."""
    frontend, redis = f"{stack.project}_frontend", stack.container("redis")
    run("docker", "network", "connect", frontend, redis)
    try:
        assert "+PONG" in stack.python(frontend, ASK, stack.address("redis", "frontend"), stack.password)
    finally:
        run("docker", "network", "disconnect", frontend, redis)


def test_nothing_leads_out_of_the_backend(stack: Stack) -> None:
    """It is internal: Redis has no way out. The control, a network that is not, gives one."""
    assert json.loads(run("docker", "network", "inspect", f"{stack.project}_backend"))[0]["Internal"] is True
    assert default_routes(stack.exec("redis", "cat", "/proc/net/route")) == []
    assert default_routes(stack.exec("edge", "cat", "/proc/net/route")) != []


def test_only_the_edge_publishes_ports(stack: Stack) -> None:
    """Its two, and nobody else any."""
    published = {
        service: set(stack.inspect(service)["HostConfig"]["PortBindings"]) for service in ("messaging_api", "redis")
    }
    assert published == {"messaging_api": set(), "redis": set()}
    assert set(stack.inspect("edge")["HostConfig"]["PortBindings"]) == {"8080/tcp", "8443/tcp"}


def test_redis_lets_the_service_do_what_it_needs_only(stack: Stack) -> None:
    """Without a password, or with commands and keys that are not the service's, Redis refuses."""

    def redis(*command: str) -> str:
        login = ("--no-auth-warning", "--user", "messaging_api", "--pass", stack.password)
        return stack.exec("redis", "redis-cli", *login, *command).strip()

    assert stack.exec("redis", "redis-cli", "ping").startswith("NOAUTH")
    assert redis("get", "messaging_api:x") == ""
    for command in ("flushall", "keys *", "config get *", "get other:x", "save", "acl list", "monitor"):
        assert redis(*command.split()).startswith("NOPERM"), command
