"""`make failover`: failovers under load, and what they cost with and without waiting for replicas.

Writes docs/scaling/failover.md. Fails when a run that waits lost a message, showed one twice, or refused for longer
than it may. `ROWS="…"` runs some of them only, by their numbers, and writes nothing.
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.cluster.failovers import Report, each_in_turn, run
from tests.clusters import Cluster, cluster_running, trio_running
from tests.servers import RedisServer
from tests.service import serving, wait_for

TIMEOUT = 1.0
"""Seconds until a node counts as failed."""
MAY_LAST = TIMEOUT + 2.0
BEHIND = 0.3
"""Seconds that a replica has heard nothing for when its master dies."""


class Row(NamedTuple):
    """A run: on what, with what in the middle of each, how often."""

    what: str
    replicas_to_wait: int
    times: int
    behind: bool = False
    sentinel: bool = False


ROWS = (
    Row("cluster", 1, 21),
    Row("cluster", 0, 21),
    Row("cluster, replica 0.3 s behind", 1, 6, behind=True),
    Row("cluster, replica 0.3 s behind", 0, 6, behind=True),
    Row("sentinel trio, 2 replicas", 1, 3, sentinel=True),
    Row("sentinel trio, 2 replicas", 0, 3, sentinel=True),
)


def fall_behind(cluster: Cluster, master: RedisServer) -> None:
    """As `Cluster.fail_over`, of a master whose replica has heard nothing for a while."""
    (replica,) = cluster.replicas_of(master)
    assert replica.process is not None
    replica.process.send_signal(signal.SIGSTOP)
    master.client().client_kill_filter(_type="replica")
    time.sleep(BEHIND)
    master.kill()
    replica.process.send_signal(signal.SIGCONT)
    heir = replica.client()
    wait_for(lambda: heir.role()[0] == b"master")
    master.start()


def measure(row: Row, folder: Path) -> Report:
    """One run on servers of its own."""
    wait = ("--workers", "2", "--replicas-to-wait", str(row.replicas_to_wait))
    if row.sentinel:
        with trio_running(folder, replicas=2) as trio, serving(folder, trio.url, *wait) as service:
            return run(service.url, trio, trio.fail_over, row.times)
    with cluster_running(folder) as cluster, serving(folder, cluster.url, *wait) as service:
        kill = fall_behind if row.behind else Cluster.fail_over
        return run(service.url, cluster, each_in_turn(cluster, kill), row.times, lambda: cluster.move_slots(1000))


HEAD = """\
| on | replicas to wait | failovers | acknowledged | lost | shown twice | burned and back | spent unseen | refused \
| refusals last, median (longest) |
|---|---|---|---|---|---|---|---|---|---|
"""


def line(row: Row, report: Report) -> str:
    """A row of the table."""
    told = report.verdict
    cells = [row.what, row.replicas_to_wait, row.times, told.acknowledged]
    cells += [len(told.lost), len(told.doubled), len(told.back), told.spent, told.refused]
    lasted = f"{statistics.median(report.outages):.1f} s ({max(report.outages):.1f} s)"
    return f"| {' | '.join(map(str, cells))} | {lasted} |\n"


def failures(row: Row, report: Report) -> list[str]:
    """What a run must not show."""
    told = report.verdict
    found = [f"{row.what}: odd answers: {told.odd}"] if told.odd else []
    if row.replicas_to_wait and (told.lost or told.doubled or told.back):
        found.append(f"{row.what}: lost {told.lost}, shown twice {told.doubled}, back {told.back}")
    if not row.sentinel and not row.behind and max(report.outages) > MAY_LAST:
        found.append(f"{row.what}: refusals lasted {max(report.outages):.2f} s")
    return found


def main() -> None:
    """Run, print, write."""
    chosen = [ROWS[int(n)] for n in os.environ.get("ROWS", "").split()]
    table, wrong = HEAD, []
    for row in chosen or ROWS:
        with tempfile.TemporaryDirectory() as folder:
            report = measure(row, Path(folder))
        print(line(row, report), [round(outage, 2) for outage in report.outages], flush=True)  # noqa: T201 its report
        table += line(row, report)
        wrong += failures(row, report)
    if not chosen:
        Path("docs/scaling").mkdir(exist_ok=True)
        Path("docs/scaling/failover.md").write_text(table)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
