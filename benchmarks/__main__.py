"""`make bench`: measure what a request costs. All figures of one table come from one run on one machine.

comparison    CPU, requests a second, latency, memory and start of the service, of version 0.1.0 and of the baselines
growth        the same request on a store with few and with very many messages, and while many expire
endurance     memory over a million requests
capacity      bytes and CPU that one message costs: the input of docs/scaling.md
instructions  instructions of a request without the kernel, counted by valgrind, of both versions and the baselines
profile       where the time of a request goes, by file, in both versions

To see whether everything runs, within about a minute:
  make bench ARGS='--rounds 1 --connections 32 --messages 2000 --out /tmp/bench'
"""

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import capacity, comparison, endurance, growth, instructions, profiling

_BENCHMARKS = {
    "comparison": comparison.main,
    "growth": growth.main,
    "endurance": endurance.main,
    "capacity": capacity.main,
    "instructions": instructions.main,
    "profile": profiling.main,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", nargs="?", choices=_BENCHMARKS, default="comparison")
    parser.add_argument("--rounds", type=int, default=9, help="rounds whose medians are shown (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="length of one measurement (default: %(default)s)")
    parser.add_argument(
        "--connections", type=int, nargs="+", default=[1, 32], help="add 256 for many (default: %(default)s)"
    )
    parser.add_argument(
        "--only", default="", help="measure only servers whose names this regular expression finds, and the baseline"
    )
    parser.add_argument("--skip-old", action="store_true", help="leave out version 0.1.0")
    parser.add_argument(
        "--messages", type=int, default=50_000, help="messages to read in comparison (default: %(default)s)"
    )
    parser.add_argument("--redis-messages", type=int, default=10_000_000, help="in growth (default: %(default)s)")
    parser.add_argument("--sqlite-messages", type=int, default=1_000_000, help="in growth (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=1_000_000, help="in endurance (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/performance"), help="folder of the results")
    return parser


def main() -> None:
    """Run the benchmark that the command line names."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # an exit also stops the servers
    _BENCHMARKS[options.benchmark](options)


if __name__ == "__main__":
    main()
