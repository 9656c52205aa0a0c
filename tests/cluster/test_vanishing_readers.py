"""Readers that vanish at every step of a read, on a cluster and behind sentinels."""

from pathlib import Path

import pytest

from tests.support.service import serving
from tests.support.vanishing_readers import OPTIONS, run

MESSAGES = 300


@pytest.mark.parametrize("servers", ["cluster", "trio"])
def test_readers_with_a_key_lose_no_read(request: pytest.FixtureRequest, servers: str, tmp_path: Path) -> None:
    """Every reader that comes back with its key has the text, and nobody else has; writes wait for a replica."""
    url = request.getfixturevalue(servers).url
    with serving(tmp_path, url, *OPTIONS, "--replicas-to-wait", "1") as service:
        run(service, MESSAGES).check()
