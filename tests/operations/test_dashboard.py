"""The expressions of the dashboard and the alert rules match a running service, checked by a real Prometheus."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.operations.test_alerts import traffic
from tests.support.redis_server import RedisServer, free_port, redis_running
from tests.support.scrapes import ALERTS, scrape
from tests.support.service import Running, answers, serving, wait_for

DASHBOARD = json.loads(ALERTS.with_name("dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]


@contextmanager
def prometheus(folder: Path, service: Running) -> Iterator[str]:
    """Run a Prometheus that scrapes the service twice a second; yield its address."""
    program = shutil.which("prometheus")
    assert program, "the tests need prometheus: apt-get install prometheus"
    target = {"targets": [service.ops_url.removeprefix("http://")]}
    job = {"job_name": "messaging_api", "static_configs": [target]}
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]}))
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder}", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(f"http://{address}/-/ready"))
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, RedisServer, str]]:
    """Run a service with some history, scraped by Prometheus."""
    folder = tmp_path_factory.mktemp("seen")
    with redis_running(folder) as redis, serving(folder, redis.url) as service, prometheus(folder, service) as url:
        traffic(service, redis)
        yield service, redis, url


def query(url: str, expression: str) -> list[float]:
    """Return the current values of an expression."""
    for variable, text in (("$__rate_interval", "10s"), ("$job", ".*"), ("$instance", ".*")):
        expression = expression.replace(variable, text)
    told: dict[str, Any] = httpx.get(f"{url}/api/v1/query", params={"query": expression}).raise_for_status().json()
    return [float(sample["value"][1]) for sample in told["data"]["result"]]


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_panel_has_data(seen: tuple[Running, RedisServer, str], panel: dict[str, Any]) -> None:
    """Under traffic each expression of the dashboard returns numbers, and no NaN."""
    service, redis, url = seen
    for target in panel["targets"]:

        def shows(expression: str = target["expr"]) -> bool:
            traffic(service, redis)
            found = query(url, expression)
            return bool(found) and any(number == number for number in found)  # noqa: PLR0124 NaN is not itself

        wait_for(shows)


def test_every_metric_name_exists(seen: tuple[Running, RedisServer, str]) -> None:
    """The service exports each metric that the dashboard or a rule names."""
    told = {name.split("{", maxsplit=1)[0] for name in scrape(seen[0].ops_url).samples}
    named = {name for expression in EXPRESSIONS for name in re.findall(r"\bmessaging_\w+", expression)} - {
        "messaging_api"
    }
    assert len(named) > 15
    assert named - told == set()


def test_panels_do_not_overlap() -> None:
    """No two panels overlap, and each has a description."""
    places = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert all(x < 24 for x, _ in places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] for panel in DASHBOARD["panels"])
