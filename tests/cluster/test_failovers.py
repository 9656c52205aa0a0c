"""The real service under load while masters are killed: acknowledged messages are there, none is shown twice.

`make failover` does the same for longer, and writes the figures of docs/scaling.md.
"""

from pathlib import Path

from tests.support.clusters import Cluster, Trio
from tests.support.failovers import Report, each_in_turn, run
from tests.support.service import serving


def nothing_was_lost(report: Report) -> None:
    """Check that nothing was lost, shown twice or back after a burn, and that 503 and 504 told the truth.

    A reader with a key that comes back must have the text; without one, its read may be spent after a 504.
    """
    verdict = report.verdict
    assert (verdict.lost, verdict.doubled, verdict.back, verdict.odd) == ([], [], [], [])
    assert (verdict.missed, verdict.spent_with_key) == ([], [])
    assert verdict.refused + verdict.unknown > 0, "no failover was felt: this has tested nothing"
    assert min(verdict.shown, verdict.burned) > 0


def test_no_loss_when_each_cluster_master_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """kill -9 of each master in turn, with a resharding: rejections end when the cluster is whole again."""
    with serving(tmp_path, cluster.url, "--workers", "2", "--replicas-to-wait", "1") as service:
        report = run(service.url, cluster, each_in_turn(cluster), 3, lambda: cluster.move_slots(500))
    nothing_was_lost(report)
    for outage, whole in zip(report.outages, report.whole, strict=True):
        assert outage < whole + 1.5  # the service's own deadline


def test_no_loss_when_a_sentinel_master_is_killed(trio: Trio, tmp_path: Path) -> None:
    """kill -9 of the master: the service follows the sentinels."""
    with serving(tmp_path, trio.url, "--workers", "2", "--replicas-to-wait", "1") as service:
        report = run(service.url, trio, trio.fail_over, 1)
    nothing_was_lost(report)
