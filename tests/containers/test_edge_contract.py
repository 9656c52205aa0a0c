"""The HTTP contract through the edge: the same tests that every other service has to pass."""

import os
import subprocess
import sys

import pytest

from tests.support.compose_stack import ROOT, Stack


@pytest.mark.parametrize(
    "marked", ["not alone", pytest.param("alone", marks=pytest.mark.alone)], ids=["side by side", "alone"]
)
def test_contract_holds_through_the_edge(unlimited: Stack, marked: str) -> None:
    """Every case of tests/contract passes over https and the firewall, including requests made from openapi.yaml."""
    trust = {"SSL_CERT_FILE": str(unlimited.certificate), "REQUESTS_CA_BUNDLE": str(unlimited.certificate)}
    suites = ["tests/contract/test_http.py", "tests/contract/test_openapi.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", marked, *suites]
    environ = {**os.environ, **trust, "CONTRACT_URL": unlimited.url}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
