"""Failovers under load, one after the other, and their effects."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.cluster_load import Load, Verdict
from tests.support.clusters import Cluster, Trio
from tests.support.redis_server import RedisServer
from tests.support.service import wait_for

CALM = 0.5
"""Seconds of load between the recovery of a cluster and the next failover."""


@dataclass
class Report:
    """For each kill, the seconds until the last 503 or 504 (0: there was none), and until the cluster had recovered."""

    outages: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)


def each_in_turn(
    cluster: Cluster, kill: Callable[[Cluster, RedisServer], None] = Cluster.fail_over
) -> Callable[[], None]:
    """Return a function that fails over the master that was spared the longest."""
    last: dict[int, int] = {}
    count = itertools.count()

    def fail_over() -> None:
        master = min(cluster.masters(), key=lambda node: last.get(node.port, -1))
        last[master.port] = next(count)
        kill(cluster, master)

    return fail_over


def run(
    url: str,
    system: Cluster | Trio,
    fail_over: Callable[[], None],
    times: int,
    halfway: Callable[[], object] = lambda: None,
) -> Report:
    """Fail over so many times while the service at `url` is under load; call `halfway` in the middle."""
    report = Report()
    load = Load(url)
    try:
        wait_for(lambda: load.acknowledged > 50)
        for n in range(times):
            if n == times // 2:
                halfway()
            calm(load)
            killed = time.monotonic()
            fail_over()
            wait_for(system.whole, 60)
            report.whole.append(time.monotonic() - killed)
            calm(load)
            report.outages.append(max((at - killed for at in load.failures if at > killed), default=0.0))
    finally:
        report.verdict = load.finish()
    return report


def calm(load: Load) -> None:
    """Wait for a while in which messages are acknowledged and no request fails."""
    since, reached, failed = time.monotonic(), load.acknowledged, -1

    def quiet() -> bool:
        nonlocal since, reached, failed
        if len(load.failures) != failed:
            since, reached, failed = time.monotonic(), load.acknowledged, len(load.failures)
        return time.monotonic() - since > CALM and load.acknowledged > reached

    wait_for(quiet)
