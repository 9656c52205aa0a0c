"""Processes that queue for one resource."""

import itertools
import signal
import subprocess
import sys
import threading
from pathlib import Path

from messaging_api.stores.sqlite.fair_lock import FairLock

TURNS = 100
WORK = """
import sys, pathlib, time
from messaging_api.stores.sqlite.fair_lock import FairLock
queue, name, turns = FairLock(sys.argv[1]), sys.argv[2], int(sys.argv[3])
trace = pathlib.Path(sys.argv[1] + ".trace").open("a+")
while True:
    with queue.hold():
        trace.write(name)
        trace.flush()
        trace.seek(0)
        before = trace.read()
        time.sleep(0.002)  # a turn is as long as a commit
    if min(before.count("a"), before.count("b")) >= turns:
        break
"""
HOLD = """
import sys, time
from messaging_api.stores.sqlite.fair_lock import FairLock
with FairLock(sys.argv[1]).hold():
    print("in", flush=True)
    time.sleep(60)
"""


def test_waiting_processes_alternate(tmp_path: Path) -> None:
    """Two processes that always want the lock alternate; neither gets it many times in a row."""
    path = tmp_path / "queue"
    both = [subprocess.Popen([sys.executable, "-c", WORK, str(path), name, str(TURNS)]) for name in "ab"]
    assert [one.wait(60) for one in both] == [0, 0]
    trace = path.with_suffix(".trace").read_text()
    contested = trace[max(trace.index("a"), trace.index("b")) :]
    changes = sum(one != other for one, other in itertools.pairwise(contested))
    assert changes > len(contested) / 2


def test_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    """After SIGKILL of the holder the next process gets the lock."""
    path = tmp_path / "queue"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"in\n"
        holder.send_signal(signal.SIGKILL)
    queue, came = FairLock(str(path)), threading.Event()

    def enter() -> None:
        with queue.hold():
            came.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    assert came.wait(10)
    thread.join()
    queue.close()
