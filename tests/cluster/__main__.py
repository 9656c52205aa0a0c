"""`make failover`: failovers under load, and what they cost with and without waiting for replicas.

Writes docs/scaling/failover.md. Fails when a run that waits lost a message, showed one twice, spent a read unseen
of a reader with a key, or failed for longer than it may. `ROWS="…"` runs some of them only, by their numbers, and
writes nothing.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.clusters import Cluster, cluster_running, trio_running
from tests.support.failovers import Report, each_in_turn, run
from tests.support.redis_server import RedisServer
from tests.support.service import serving, wait_for

TIMEOUT = 1.0
"""Seconds until a node counts as failed."""
MAY_LAST = TIMEOUT + 2.0
BEHIND = 0.3
"""Seconds that a replica has heard nothing for when its master dies."""


def die(cluster: Cluster, master: RedisServer) -> None:
    """kill -9; started again when its replica has taken over."""
    cluster.fail_over(master)


def die_while_replica_is_behind(cluster: Cluster, master: RedisServer) -> None:
    """The same, of a master whose replica has heard nothing for a while."""
    (replica,) = cluster.replicas_of(master)
    with replica.suspended():
        master.client().client_kill_filter(_type="replica")
        time.sleep(BEHIND)
        master.kill()
    heir = replica.client()
    wait_for(lambda: heir.role()[0] == b"master")
    master.start()


def come_back_at_once(_cluster: Cluster, master: RedisServer) -> None:
    """kill -9 and started again before anyone has noticed, as containers are: with what it has written down."""
    master.kill()
    master.start()


class Row(NamedTuple):
    """A run: on what, with how many replicas to wait for, how often, and what happens to a master of a cluster."""

    what: str
    replicas_to_wait: int
    times: int
    fate: Callable[[Cluster, RedisServer], None] | None = die
    options: tuple[str, ...] = ()


AOF = ("--appendonly", "yes", "--appendfsync", "always")
ROWS = (
    Row("cluster", 1, 21),
    Row("cluster", 0, 21),
    Row("cluster, replica 0.3 s behind", 1, 6, die_while_replica_is_behind),
    Row("cluster, replica 0.3 s behind", 0, 6, die_while_replica_is_behind),
    Row("cluster, appendfsync always, master back at once", 1, 6, come_back_at_once, AOF),
    Row("sentinels, 2 replicas", 1, 3, fate=None),
    Row("sentinels, 2 replicas", 0, 3, fate=None),
)


def measure(row: Row, folder: Path) -> Report:
    """One run on servers of its own."""
    wait = ("--workers", "2", "--replicas-to-wait", str(row.replicas_to_wait))
    if row.fate is None:
        with trio_running(folder, replicas=2) as trio, serving(folder, trio.url, *wait) as service:
            return run(service.url, trio, trio.fail_over, row.times)
    with cluster_running(folder, *row.options) as cluster, serving(folder, cluster.url, *wait) as service:
        fail_over = each_in_turn(cluster, row.fate)
        return run(service.url, cluster, fail_over, row.times, lambda: cluster.move_slots(1000))


HEAD = """\
| on | replicas to wait | kills | acknowledged | lost | shown twice | burned and back \
| spent unseen without a key | with a key | resumed | 503 | 504 | failures last, median (longest) |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def line(row: Row, report: Report) -> str:
    """A row of the table."""
    verdict = report.verdict
    cells = [row.what, row.replicas_to_wait, row.times, verdict.acknowledged]
    cells += [len(verdict.lost), len(verdict.doubled), len(verdict.back), verdict.spent]
    cells += [len(verdict.spent_with_key), verdict.resumed, verdict.refused, verdict.unknown]
    lasted = f"{statistics.median(report.outages):.1f} s ({max(report.outages):.1f} s)"
    return f"| {' | '.join(map(str, cells))} | {lasted} |\n"


def failures(row: Row, report: Report) -> list[str]:
    """What a run must not show."""
    verdict = report.verdict
    found = [f"{row.what}: odd answers: {verdict.odd}"] if verdict.odd else []
    never = ("lost", "missed", "doubled", "back", "spent_with_key")
    if row.replicas_to_wait:
        found += [f"{row.what}: {name}: {texts}" for name in never if (texts := getattr(verdict, name))]
    if row.replicas_to_wait and row.fate is die and max(report.outages) > MAY_LAST:
        found.append(f"{row.what}: failures lasted {max(report.outages):.2f} s")
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
