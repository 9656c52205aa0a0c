"""Odd requests, in the amount that every run of the tests can afford; `make attack` sends a hundred times as many."""

from pathlib import Path

from tests.support.fuzzing import fuzz, unshaken

ODD = 3000
"""On each of two stores."""


def test_odd_requests(tmp_path: Path, store_url: str) -> None:
    """Valid requests among odd ones are served as ever; see `fuzzing` for all that must hold."""
    with unshaken(tmp_path, store_url) as service:
        fuzz(service, ODD)
