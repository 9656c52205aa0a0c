"""The running service against openapi.yaml: schemathesis makes requests from the contract, odd ones too."""

import subprocess
import sys
from pathlib import Path

import httpx

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
LEFT_OUT = "positive_data_acceptance,use_after_free,ensure_resource_availability"
"""OpenAPI cannot say that the query's options go with text/plain alone, nor that expires_at must lie ahead; a receipt
is there after DELETE, to say that its message was burned, and a message is gone by it or by being read: on purpose."""


def test_the_service_keeps_its_contract(url: str, tmp_path: Path) -> None:
    """Statuses, content types, headers and bodies are those of the contract; nothing is a 5xx."""
    asked = ["--checks", "all", "--exclude-checks", LEFT_OUT, "--max-examples", "60", "--rate-limit", "auto"]
    run = subprocess.run(
        [SCHEMATHESIS, "run", f"{url}/openapi.json", *asked], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.returncode == 0, run.stdout
    assert "7 selected / 7 total" in run.stdout


def test_the_contract_names_every_error(url: str) -> None:
    """Every address tells of errors by the same problem."""
    contract = httpx.get(f"{url}/openapi.json").json()
    operations = [value for path in contract["paths"].values() for key, value in path.items() if key != "parameters"]
    assert all(operation["responses"]["default"]["$ref"].endswith("/Problem") for operation in operations)
