"""Write the results of the comparison: Markdown, JSON and a picture."""

import argparse
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmarks.goals import Goal, goals
from benchmarks.load import Figures
from benchmarks.results import Case, Results

_PEER = """\
haste-server was not measured: the npm registry has no package of that name."""
_HOW = """\
Medians of {rounds} rounds of {seconds} s, everything on, limits on; {cores} cores, Python {python}. The baseline is a
raw ASGI application on stock uvicorn that answers with recorded bytes. Ratios are to the baseline's CPU in the same
round."""
_COLUMNS = (
    "server",
    "request",
    "connections",
    "CPU / baseline",
    "CPU µs",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "errors",
    "Redis reads per 32",
)
_MET = {True: "yes", False: "**no**", None: "-"}


def write(results: Results, rows: dict[Case, Figures], options: argparse.Namespace) -> str:
    """Write bench.md, bench.json and bench.png to the folder `options.out`; return the Markdown."""
    reached = goals(results)
    how = _HOW.format(
        rounds=options.rounds, seconds=options.seconds, cores=os.cpu_count(), python=platform.python_version()
    )
    text = "\n\n".join([how, goals_table(reached), _PEER, figures_table(rows)]) + "\n"
    (options.out / "bench.md").write_text(text)
    _write_json(results, rows, reached, options.out / "bench.json")
    _write_plot(rows, options.out / "bench.png")
    return text


def _markdown(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    columns = [*header]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *lines])


def goals_table(reached: list[Goal]) -> str:
    """Return the goals as a Markdown table."""
    lines = [(goal.what, goal.goal, goal.old, goal.now, _MET[goal.met]) for goal in reached]
    return _markdown(("what, 32 connections", "goal", "0.1.0", "now", "met"), lines)


def figures_table(rows: dict[Case, Figures]) -> str:
    """Return all figures as a Markdown table."""
    return _markdown(_COLUMNS, (_cells(case, row) for case, row in rows.items()))


def _cells(case: Case, row: Figures) -> list[str]:
    return [
        case.server,
        case.request,
        str(case.connections),
        f"**{row.ratio:.2f}**",
        f"{row.cpu_us:.1f}",
        f"{row.rps:,.0f}",
        f"{row.p50:.2f}",
        f"{row.p99:.2f}",
        str(row.errors),
        f"{row.redis_reads:.1f}" if row.redis_reads else "-",
    ]


def _write_json(results: Results, rows: dict[Case, Figures], reached: list[Goal], path: Path) -> None:
    content = {
        "goals": [goal._asdict() for goal in reached],
        "rows": [case._asdict() | asdict(row) for case, row in rows.items()],
        "footprints": {name: asdict(one) for name, one in results.footprints.items()},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _write_plot(rows: dict[Case, Figures], path: Path) -> None:
    """Draw bars of CPU for a request over 32 connections."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    shown = {case: row for case, row in rows.items() if case.connections == 32} or rows
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(shown) + 1))
    axes.barh(
        [f"{case.server}, {case.request}" for case in shown], [row.ratio for row in shown.values()], color="#4477aa"
    )
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("CPU for a request, in units of the baseline's (32 connections)")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
