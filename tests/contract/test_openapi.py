"""The running service against its OpenAPI contract: schemathesis generates valid and invalid requests from it."""

import re
import subprocess
import sys
from pathlib import Path

import httpx

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
EXCLUDED_CHECKS = "positive_data_acceptance,use_after_free,ensure_resource_availability"
"""Checks that do not apply. OpenAPI cannot express that query parameters are for text/plain only, and that expires_at
must be in the future. By design a receipt still exists after DELETE, and a message ceases to exist when it is read."""


def test_service_conforms_to_its_contract(url: str, tmp_path: Path) -> None:
    """Statuses, content types, headers and bodies are as in the contract, and no response is 5xx."""
    options = ["--checks", "all", "--exclude-checks", EXCLUDED_CHECKS, "--max-examples", "60", "--rate-limit", "auto"]
    run = subprocess.run(
        [SCHEMATHESIS, "run", f"{url}/openapi.json", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    operations = sum(method in ("get", "post", "put", "delete") for path in paths.values() for method in path)
    expected = operations - 1  # schemathesis leaves out the address that it has the contract from
    assert re.search(rf"Operations: +{expected} selected / {expected} total", run.stdout)


def test_every_operation_has_problem_responses(url: str) -> None:
    """The default response of every operation is a problem."""
    contract = httpx.get(f"{url}/openapi.json").json()
    operations = [value for path in contract["paths"].values() for key, value in path.items() if key != "parameters"]
    assert all(operation["responses"]["default"]["$ref"].endswith("/Problem") for operation in operations)
