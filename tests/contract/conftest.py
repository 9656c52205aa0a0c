"""The service under test for the HTTP contract: the one at CONTRACT_URL, else one on each store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import redis_running
from tests.support.service import serving

OUTSIDE = os.environ.get("CONTRACT_URL")


@pytest.fixture(scope="session", params=[OUTSIDE] if OUTSIDE else ["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a running service, without a slash at the end."""
    folder: Path = tmp_path_factory.mktemp("contract")
    if OUTSIDE:
        yield OUTSIDE.rstrip("/")
    elif request.param == "sqlite":
        with serving(folder, f"sqlite://{folder}/messages.db") as service:
            yield service.url
    else:
        with redis_running(folder) as redis, serving(folder, redis.url) as service:
            yield service.url
