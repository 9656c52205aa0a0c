"""Whatever bytes come: no 5xx, no word of an exception in any answer, no worker that dies."""

import subprocess
from pathlib import Path

from tests.contract.test_openapi import SCHEMATHESIS
from tests.support.fuzzing import BATCH, MUTANTS, fuzz, unshaken

BATCHES = 550
"""On each of two stores: 220,000 requests in all."""


def test_odd_requests(tmp_path: Path, store_url: str) -> None:
    """Requests with anything in any place, and plain bytes, each on a connection of its own."""
    with unshaken(tmp_path, store_url) as service:
        seen = fuzz(service, BATCHES)
    print(f"\nanswers to {BATCHES * BATCH * (1 + MUTANTS)} odd requests, 0 for none: {dict(sorted(seen.items()))}")


def test_the_contract_turned_inside_out(tmp_path: Path, store_url: str) -> None:
    """Requests made from the contract, those it forbids too."""
    command = [SCHEMATHESIS, "run", "--checks", "not_a_server_error", "--mode", "all", "--max-examples", "1500"]
    with unshaken(tmp_path, store_url) as service:
        ran = subprocess.run(
            [*command, f"{service.url}/openapi.json"], capture_output=True, text=True, check=False, cwd=tmp_path
        )
    assert ran.returncode == 0, ran.stdout
    print("\n" + next(line.strip() for line in ran.stdout.splitlines() if "generated," in line))
