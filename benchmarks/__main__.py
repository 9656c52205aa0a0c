"""`make bench`: what a request costs. Everything in one table comes from one run on one machine.

comparison    CPU, latency and memory of every row against the bare server (the default)
growth        the same request on a store with few and with very many messages, and while many expire
endurance     memory over a million requests, and the time from start to first answer
capacity      bytes and CPU that one message costs: what docs/scaling.md reckons with
instructions  what one costs without the kernel, counted by valgrind
profile       where the time of a request goes, by file
"""

import argparse
from pathlib import Path

from benchmarks import capacity, comparison, endurance, growth, instructions, profiling

_WHAT = {
    "comparison": comparison.main,
    "growth": growth.main,
    "endurance": endurance.main,
    "capacity": capacity.main,
    "instructions": instructions.main,
    "profile": profiling.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=_WHAT, default="comparison")
    parser.add_argument("--rounds", type=int, default=9, help="runs of which the medians are shown")
    parser.add_argument("--seconds", type=int, default=1, help="length of one measurement")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--only", default="", help="a regular expression: the servers to measure, besides the floor")
    parser.add_argument("--redis-messages", type=int, default=10_000_000, help="of growth")
    parser.add_argument("--sqlite-messages", type=int, default=1_000_000, help="of growth")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of endurance")
    parser.add_argument("--out", type=Path, default=Path("docs/performance"), help="folder of the results")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    _WHAT[asked.what](asked)


if __name__ == "__main__":
    main()
