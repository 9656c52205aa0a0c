"""Real samples of a running service, evaluated by Prometheus' own rule tester."""

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.programs import require

ALERTS = Path(__file__).parents[2] / "deploy" / "monitoring" / "alerts.yml"
GROWS = ("_total", "_bucket", "_count", "_sum")
CALM, TROUBLED = 15, 30
"""Minutes told of before and after the fault begins."""


@dataclass(frozen=True)
class Scrape:
    """Samples by series, as one node of the job messaging_api; `at` in seconds of the monotonic clock."""

    at: float
    samples: dict[str, float]


def scrape(ops_url: str) -> Scrape:
    """Return the current samples of /metrics, with `up` as Prometheus would add it."""
    samples = {series("up", {}): 0.0}
    try:
        text = httpx.get(f"{ops_url}/metrics", timeout=10).raise_for_status().text
    except httpx.HTTPError:
        return Scrape(time.monotonic(), samples)
    families = text_string_to_metric_families(text)
    samples |= {series(one.name, one.labels): one.value for family in families for one in family.samples}
    return Scrape(time.monotonic(), samples | {series("up", {}): 1.0})


def value(scrape: Scrape, name: str, **labels: str) -> float:
    """Return the value of one sample."""
    return scrape.samples[series(name, labels)]


def series(name: str, labels: dict[str, str]) -> str:
    """Return the series in PromQL syntax."""
    labels = {**labels, "job": "messaging_api", "instance": "node1"}
    return f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"


def firing(calm: Scrape, troubled: Scrape, folder: Path) -> set[str]:
    """The alerts that fire when `calm` has lasted and then what led to `troubled` goes on at the same rate.

    promtool is told that none fires, at the end of the calm and at the end of all, and names those it finds firing.
    """
    minutes = (troubled.at - calm.at) / 60
    told = [
        {"series": one, "values": _values(one, calm.samples.get(one), troubled.samples.get(one), minutes)}
        for one in sorted(calm.samples.keys() | troubled.samples.keys())
    ]
    names = [rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    test = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": told, "promql_expr_test": [_silent(name) for name in names]}],
    }
    file = folder / "alerts_test.yml"
    file.write_text(yaml.safe_dump(test))
    ran = subprocess.run([require("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    found = set(re.findall(r'alertname=\\"(\w+)\\"', ran.stdout + ran.stderr))
    assert (ran.returncode == 0) == (not found), ran.stdout + ran.stderr
    return found


def _silent(name: str) -> dict[str, object]:
    """Return the expectation of promtool that this alert never fires."""
    ever = (
        f'max_over_time((count(ALERTS{{alertstate="firing",alertname="{name}"}}) or vector(0))[{CALM + TROUBLED}m:1m])'
    )
    return {"expr": ever, "eval_time": f"{CALM + TROUBLED}m", "exp_samples": [{"labels": "{}", "value": 0}]}


def _values(one: str, calm: float | None, troubled: float | None, minutes: float) -> str:
    before = f"_x{CALM}" if calm is None else f"{calm}+0x{CALM - 1}"
    if troubled is None:
        return before
    grows = one.split("{", maxsplit=1)[0].endswith(GROWS)
    step = (troubled - (calm or 0.0)) / minutes if grows else 0.0
    return f"{before} {troubled}{step:+}x{TROUBLED}"
