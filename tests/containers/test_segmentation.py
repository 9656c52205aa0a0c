"""Only the service can reach Redis."""

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
    """Return the default routes in /proc/net/route."""
    return [line for line in table.splitlines() if line.split()[1] == "00000000"]


def test_service_reaches_redis(stack: Stack) -> None:
    """Control: Redis answers the service."""
    where = f"container:{stack.container('messaging_api')}"
    assert "+PONG" in stack.python(where, ASK, stack.address("redis", "backend"), stack.password)


@pytest.mark.parametrize("where", ["the edge", "frontend", "the default bridge"])
def test_other_containers_do_not_reach_redis(stack: Stack, where: str) -> None:
    """Redis does not answer the edge, a container in its network, or one in the engine's default network."""
    network = {
        "the edge": f"container:{stack.container('edge')}",
        "frontend": f"{stack.project}_frontend",
        "the default bridge": "bridge",
    }[where]
    assert "PONG" not in stack.python(network, ASK, stack.address("redis", "backend"), stack.password)


def test_redis_in_the_network_of_the_edge_is_reachable(stack: Stack) -> None:
    """Control: with Redis in the edge's network too, containers there reach it."""
    frontend, redis = f"{stack.project}_frontend", stack.container("redis")
    run("docker", "network", "connect", frontend, redis)
    try:
        assert "+PONG" in stack.python(frontend, ASK, stack.address("redis", "frontend"), stack.password)
    finally:
        run("docker", "network", "disconnect", frontend, redis)


def test_backend_network_has_no_way_out(stack: Stack) -> None:
    """Its network is internal, so Redis has no default route. Control: in another network it has one."""
    assert json.loads(run("docker", "network", "inspect", f"{stack.project}_backend"))[0]["Internal"] is True
    assert default_routes(stack.exec("redis", "cat", "/proc/net/route")) == []
    assert default_routes(stack.exec("edge", "cat", "/proc/net/route")) != []


def test_only_the_edge_publishes_ports(stack: Stack) -> None:
    """The edge publishes its two ports, and no other container publishes any."""
    published = {
        service: set(stack.inspect(service)["HostConfig"]["PortBindings"]) for service in ("messaging_api", "redis")
    }
    assert published == {"messaging_api": set(), "redis": set()}
    assert set(stack.inspect("edge")["HostConfig"]["PortBindings"]) == {"8080/tcp", "8443/tcp"}


def test_redis_rejects_what_the_service_does_not_need(stack: Stack) -> None:
    """Without a password, or with other commands and keys than the service's, Redis rejects."""

    def redis(*command: str) -> str:
        login = ("--no-auth-warning", "--user", "messaging_api", "--pass", stack.password)
        return stack.exec("redis", "redis-cli", *login, *command).strip()

    assert stack.exec("redis", "redis-cli", "ping").startswith("NOAUTH")
    assert redis("get", "messaging_api:x") == ""
    for command in ("flushall", "keys *", "config get *", "get other:x", "save", "acl list", "monitor"):
        assert redis(*command.split()).startswith("NOPERM"), command
