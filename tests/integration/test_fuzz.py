"""Odd requests, in a number that every test run can afford; `make attack` sends a hundred times as many."""

from pathlib import Path

from tests.support.fuzzing import fuzz, unshaken

ODD = 3000
"""On each of two stores."""


def test_odd_requests_do_not_affect_valid_requests(tmp_path: Path, store_url: str) -> None:
    """Valid requests among odd ones are served as usual; `fuzzing` lists everything that must hold."""
    with unshaken(tmp_path, store_url) as service:
        fuzz(service, ODD)
