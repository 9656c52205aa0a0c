"""500 slow connections of three kinds, and a normal client that must not be affected."""

from pathlib import Path

from tests.support.normal_client import attacking, resident, served
from tests.support.service import sample, serving, wait_for

SLOW = 500


def test_slow_clients_do_not_delay_others(tmp_path: Path, store_url: str) -> None:
    """p99 is at most 3 times the undisturbed, no request is rejected, memory is flat, over all timeouts but idle."""
    with serving(tmp_path, store_url, "--workers", "2") as service:
        served(service.url, 2)
        undisturbed = served(service.url, 15)
        before = resident(service)
        with attacking("slow_clients", service.url, str(SLOW)):
            wait_for(lambda: connections(service.ops_url) >= SLOW)
            served(service.url, 2)
            early = resident(service)
            attacked = served(service.url, 45)
            late = resident(service)
        undisturbed = undisturbed.and_also(served(service.url, 15))
        reasons = ("slow_head", "slow_body")
        cut = {reason: sample(service.ops_url, "messaging_refusals_total", reason=reason) for reason in reasons}
        print(f"\nundisturbed {undisturbed}\nattacked    {attacked}\nresident MiB {before}, {early}, {late}; cut {cut}")
        assert attacked.refused == []
        assert attacked.quantile(0.99) <= 3 * undisturbed.quantile(0.99)
        assert late <= early + 4
        assert cut["slow_head"]
        assert cut["slow_body"]


def connections(ops_url: str) -> float:
    """Return the number of open connections."""
    return sum(sample(ops_url, "messaging_worker_connections", worker=str(n)) or 0 for n in range(2))
