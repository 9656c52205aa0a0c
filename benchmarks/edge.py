"""Measure what the edge costs: the same requests directly to the service's container, and through TLS and the firewall.

`make bench-edge`; needs a Docker engine and wrk. The load shares the machine with what it measures, so the figures are
for comparing the two ways, not for planning.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import httpx
from tests.support.compose_stack import Stack, running, without_limits

SCRIPT = str(Path(__file__).with_name("edge.lua"))
SIZES = {"1 KiB": 1024, "60 KiB": 61_440}
SECONDS = 3


def wrk(url: str, connections: int, *arguments: str) -> dict[str, float]:
    """Run wrk and return its figures; latencies in ms."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", SCRIPT, url, "--", *arguments]
    reported: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
    assert reported["errors"] == 0, reported
    return reported


def row(name: str, urls: tuple[str, str], *arguments: str) -> str:
    """Measure both ways, with one connection for latency and sixteen for throughput; return a line of the table."""
    alone = [wrk(url, 1, *arguments) for url in urls]
    many = [wrk(url, 16, *arguments) for url in urls]
    added = alone[1]["p50"] - alone[0]["p50"]
    return (
        f"| {name} | {alone[0]['p50']:.2f} | {alone[1]['p50']:.2f} | **{added:.2f}** | {many[0]['rps']:.0f} |"
        f" {many[1]['rps']:.0f} | {many[1]['rps'] / many[0]['rps']:.2f} |"
    )


def table(stack: Stack) -> None:
    """Print all rows."""
    urls = (f"http://{stack.address('messaging_api', 'frontend')}:5000", stack.url)
    print("| request | p50 direct, ms | through the edge | added | rps direct | through the edge | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, size in SIZES.items():
        posted = httpx.post(urls[0], json={"message": "0123456789abcdef" * (size // 16)}).raise_for_status().json()
        print(row(f"create, {name}", urls, "create", str(size)), flush=True)
        print(row(f"read, {name}", urls, "read", f"/msg/{posted['message_id']}"), flush=True)


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), "messaging-bench") as stack,
        without_limits(stack),
    ):
        table(stack)
