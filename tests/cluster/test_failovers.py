"""The real service under load while masters are killed: what it acknowledged is there, and nothing is shown twice.

`make failover` does the same for longer, and writes the figures of docs/scaling.md.
"""

from pathlib import Path

from tests.support.clusters import Cluster, Trio
from tests.support.failovers import Report, each_in_turn, run
from tests.support.service import serving


def kept_its_word(report: Report) -> None:
    """Nothing lost, nothing shown twice, nothing back; whoever was refused got a 503 that says when to come again."""
    verdict = report.verdict
    assert (verdict.lost, verdict.doubled, verdict.back, verdict.odd) == ([], [], [], [])
    assert verdict.refused > 0, "no failover was felt: this has tested nothing"
    assert min(verdict.shown, verdict.burned) > 0


def test_each_master_of_a_cluster_dies(cluster: Cluster, tmp_path: Path) -> None:
    """kill -9 of each master in turn and a resharding in the middle; rejections end when the cluster is whole again."""
    with serving(tmp_path, cluster.url, "--workers", "2", "--replicas-to-wait", "1") as service:
        report = run(service.url, cluster, each_in_turn(cluster), 3, lambda: cluster.move_slots(500))
    kept_its_word(report)
    for outage, whole in zip(report.outages, report.whole, strict=True):
        assert outage < whole + 1.5  # the service's own deadline


def test_a_master_that_sentinels_watch_dies(trio: Trio, tmp_path: Path) -> None:
    """kill -9 of the master: the service follows the sentinels."""
    with serving(tmp_path, trio.url, "--workers", "2", "--replicas-to-wait", "1") as service:
        report = run(service.url, trio, trio.fail_over, 1)
    kept_its_word(report)
