"""Fixtures that several suites share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import scheduling
from tests.support.clusters import Cluster, Trio, cluster_running, trio_running
from tests.support.programs import terminal
from tests.support.redis_server import RedisServer, redis_running

hypothesis.settings.register_profile("machine", deadline=None)
hypothesis.settings.load_profile("machine")  # a busy machine takes longer than any deadline for one example


def pytest_configure(config: pytest.Config) -> None:
    """Show installations, and run some tests alone where several processes run tests: on xdist, or with TEST_LOCKS."""
    config.pluginmanager.register(terminal)
    config.pluginmanager.register(scheduling)
    locks = os.environ.get(scheduling.FOLDER)
    if locks is None and (worker := getattr(config, "workerinput", None)):
        locks = f"{tempfile.gettempdir()}/messaging-api-tests-{worker['testrunuid']}"
    if locks is not None:
        config.pluginmanager.register(scheduling.AloneTests(Path(locks)))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do not ill-treat it."""
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests that leave it whole."""
    with cluster_running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """One master with two replicas, and sentinels, for all tests that leave them whole."""
    with trio_running(tmp_path_factory.mktemp("trio"), replicas=2) as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of `store_url` runs once for each kind of store; `make test-cluster` has those of many servers."""
    if "store_url" in metafunc.fixturenames:
        kinds = os.environ.get("STORES", "sqlite,redis").split(",")
        metafunc.parametrize("store_url", kinds, indirect=True)


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store; for a kind like cluster#1, one that waits for this many replicas."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/messages.db"
    kind, waits, replicas = request.param.partition("#")
    servers = request.getfixturevalue({"redis": "redis_server", "cluster": "cluster", "sentinel": "trio"}[kind])
    servers.flush()
    return f"{servers.url}{waits}{replicas}"
