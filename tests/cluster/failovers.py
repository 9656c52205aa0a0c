"""Failovers under load, one after the other, and what they cost."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.cluster.load import Load, Verdict
from tests.clusters import Cluster, Trio
from tests.service import wait_for

CALM = 0.5
"""Seconds of load between a cluster that is whole again and the next failover."""


@dataclass
class Report:
    """`outages` are seconds from each kill -9 to the last 503 that followed it, 0 for none."""

    outages: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)


def each_in_turn(cluster: Cluster) -> Callable[[], None]:
    """Fails over one master after the other: always the one that was spared the longest."""
    last: dict[int, int] = {}
    count = itertools.count()

    def fail_over() -> None:
        master = min(cluster.masters(), key=lambda node: last.get(node.port, -1))
        last[master.port] = next(count)
        cluster.fail_over(master)

    return fail_over


def run(
    url: str, system: Cluster | Trio, fail_over: Callable[[], None], times: int, halfway: Callable[[], None]
) -> Report:
    """Fail over this many times while the service at `url` is under load, and do something else `halfway`."""
    report = Report()
    load = Load(url)
    wait_for(lambda: load.acknowledged > 50)
    for n in range(times):
        if n == times // 2:
            halfway()
        killed = time.monotonic()
        fail_over()
        wait_for(system.whole, 60)
        settled(load)
        report.outages.append(max((at - killed for at in load.refusals if at > killed), default=0.0))
    report.verdict = load.finish()
    return report


def settled(load: Load) -> None:
    """Wait until a while has passed in which messages were acknowledged and none was refused."""
    since = time.monotonic()
    while time.monotonic() - since < CALM:
        refused = len(load.refusals)
        time.sleep(0.02)
        if len(load.refusals) > refused:
            since = time.monotonic()
