"""The figures for people: a table and a picture."""

from pathlib import Path

from benchmarks.load import Figures

_COLUMNS = (
    "server",
    "request",
    "connections",
    "CPU/floor",
    "CPU µs",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "errors",
    "MiB",
    "Redis reads per 32",
)


def write_table(rows: dict[str, Figures], path: Path) -> str:
    """Markdown, also written to `path`."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
    ]
    for name, row in rows.items():
        server, what, connections = name.split(" | ")
        figures = f"{row.cpu_us:.1f} | {row.rps:,.0f} | {row.p50:.2f} | {row.p99:.2f} | {row.errors} | {row.memory:.0f}"
        trips = f"{row.trips:.1f}" if row.trips else "-"
        lines.append(f"| {server} | {what} | {connections} | **{row.ratio:.2f}** | {figures} | {trips} |")
    table = "\n".join(lines) + "\n"
    path.write_text(table)
    return table


def write_plot(rows: dict[str, Figures], path: Path) -> None:
    """Bars of CPU a request at 32 connections, PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in rows if name.endswith("| 32")] or list(rows)
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(names) + 1))
    axes.barh([name.rsplit(" | ", 1)[0] for name in names], [rows[name].ratio for name in names], color="#4477aa")
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("CPU for a request, in units of the bare server's (32 connections)")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
