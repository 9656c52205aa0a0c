"""One stack for all container tests; each leaves it as it found it."""

import os
from collections.abc import Iterator

import pytest

from tests.containers.stack import Stack, fresh_checkout, run


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The production layout, built and started from a fresh checkout."""
    run("docker", "info")  # without an engine these tests fail: they must not pass for having been left out
    stack = Stack(fresh_checkout(tmp_path_factory.mktemp("checkout")), f"messaging-test-{os.getpid()}")
    run("scripts/first-start", folder=stack.folder)
    try:
        stack.up("--build")
        yield stack
    finally:
        stack.down("--volumes", "--rmi", "local", "--remove-orphans", "--timeout", "5")


@pytest.fixture(scope="module")
def unlimited(stack: Stack) -> Iterator[Stack]:
    """The stack with limits that one client does not reach, at the edge and in the service."""
    shipped = (stack.folder / "deploy/edge/limits.conf").read_text()
    raised = shipped.replace("rate=100r/s", "rate=100000r/s").replace("connections 100;", "connections 2000;")
    (stack.folder / "raised.conf").write_text(raised)
    settings = stack.folder / ".env"
    settings.write_text("".join(f"MESSAGING_API_LIMIT_{kind}=0\n" for kind in ("CREATE", "READ", "MISS")))
    stack.up(EDGE_LIMITS="./raised.conf")
    yield stack
    settings.unlink()
    stack.up()
