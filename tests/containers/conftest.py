"""One stack for all container tests; each test leaves it unchanged."""

import os
from collections.abc import Iterator

import pytest

from tests.support.compose_stack import Stack, run, running, without_limits


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Build and start the production layout from a fresh checkout."""
    run("docker", "info")  # without an engine these tests fail: they must not pass for having been left out
    with running(tmp_path_factory.mktemp("checkout"), f"messaging-test-{os.getpid()}") as stack:
        yield stack


@pytest.fixture(scope="module")
def unlimited(stack: Stack) -> Iterator[Stack]:
    """Run the stack with limits that one client does not reach."""
    with without_limits(stack):
        yield stack
