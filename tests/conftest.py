"""Fixtures that several suites share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer, redis_running


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do not ill-treat it."""
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, once for each kind there is."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/messages.db"
    server: RedisServer = request.getfixturevalue("redis_server")
    server.client().flushall()
    return server.url
