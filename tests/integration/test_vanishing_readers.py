"""Readers that vanish at every step of a read. `make attack` does the same with more messages, and prints figures."""

from pathlib import Path

from tests.support.service import serving
from tests.support.vanishing_readers import OPTIONS, run

MESSAGES = 300


def test_readers_with_a_key_lose_no_read(tmp_path: Path, store_url: str) -> None:
    """Every reader that comes back with its key has the text, and nobody else has; without a key, as documented."""
    with serving(tmp_path, store_url, *OPTIONS) as service:
        run(service, MESSAGES).check()
