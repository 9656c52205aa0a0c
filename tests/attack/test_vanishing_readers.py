"""Readers that vanish at every step of a read: how many reads are spent unseen, with and without a key."""

from pathlib import Path

from tests.support.service import serving
from tests.support.vanishing_readers import OPTIONS, run

MESSAGES = 10_000


def test_vanishing_readers_lose_nothing_with_a_key(tmp_path: Path, store_url: str) -> None:
    """With a key no read is spent unseen and none is doubled; without one it can only be after the whole head."""
    with serving(tmp_path, store_url, *OPTIONS) as service:
        report = run(service, MESSAGES)
    print(f"\n{report}")
    report.check()
