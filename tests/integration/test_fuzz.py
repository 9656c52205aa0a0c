"""Odd requests, in the amount that every run of the tests can afford; `make attack` sends a hundred times as many."""

from pathlib import Path

from tests.support.fuzzing import fuzz, unshaken


def test_odd_requests(tmp_path: Path, store_url: str) -> None:
    """No 5xx, no word of an exception in any answer, no worker that dies."""
    with unshaken(tmp_path, store_url) as service:
        fuzz(service, 8)
