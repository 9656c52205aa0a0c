"""Odd requests in large numbers; `tests/support/fuzzing.py` lists everything that must hold."""

import subprocess
from pathlib import Path

from tests.contract.test_openapi import SCHEMATHESIS
from tests.support.fuzzing import fuzz, unshaken

ODD = 250_000
"""On each of two stores."""


def test_odd_requests_do_not_affect_valid_requests(tmp_path: Path, store_url: str) -> None:
    """Requests with any data in any place, and plain bytes, are sent among valid requests on the same connections."""
    with unshaken(tmp_path, store_url) as service:
        fuzzer = fuzz(service, ODD)
    print(f"\n{fuzzer.sent} odd requests; responses by status, 0 for none: {dict(sorted(fuzzer.seen.items()))}")


def test_requests_generated_from_the_contract_conform(tmp_path: Path, store_url: str) -> None:
    """Requests are generated from the contract, including ones that it forbids."""
    command = [SCHEMATHESIS, "run", "--checks", "not_a_server_error", "--mode", "all", "--max-examples", "1500"]
    with unshaken(tmp_path, store_url) as service:
        ran = subprocess.run(
            [*command, f"{service.url}/openapi.json"], capture_output=True, text=True, check=False, cwd=tmp_path
        )
    assert ran.returncode == 0, ran.stdout
    print("\n" + next(line.strip() for line in ran.stdout.splitlines() if "generated," in line))
