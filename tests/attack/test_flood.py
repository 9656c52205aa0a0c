"""One client far over its limits: others are not affected, and rejecting costs less than serving."""

import asyncio
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from multiprocessing import get_context
from pathlib import Path

import httpx
from benchmarks.servers import RunningServer

from tests.support.fast_client import Heard, Wire, get, paced, percentile
from tests.support.service import Running, serving

SECONDS = 20
FLOOD = 2000
READERS = 20
"""Other clients, each from an address of its own and within its limits."""
EACH = 8.0
MOST = 20_000


async def _readers(url: str, path: str, base: int) -> Heard:
    """Run readers with different addresses, each at its own rate."""
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire(url, f"127.0.{base}.{n + 1}")) for n in range(READERS)]
        results = await asyncio.gather(*(paced([wire], get(path), EACH, SECONDS) for wire in wires))
    statuses: Counter[int] = Counter()
    for counted, _ in results:
        statuses += counted
    return statuses, [one for _, took in results for one in took]


async def _flood(url: str, path: str) -> Counter[int]:
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire(url, "127.0.0.9")) for _ in range(16)]
        return (await paced(wires, get(path), FLOOD, SECONDS))[0]


def test_flood_does_not_affect_others(tmp_path: Path, store_url: str) -> None:
    """With 2,000 requests/s from one address, others get all responses, and p99 stays within 3 times the normal."""
    with serving(tmp_path, store_url, "--limit-read", "600", "--limit-miss", "30") as service:
        path = httpx.URL(httpx.post(service.url, json={"message": "x" * 1000}).json()["url"]).path
        quiet, undisturbed = asyncio.run(_readers(service.url, path, 1))
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
            flooding = elsewhere.submit(_flooding, service.url, path)
            others, disturbed = asyncio.run(_readers(service.url, path, 2))
            flood = flooding.result()
    before, after = percentile(undisturbed, 0.99), percentile(disturbed, 0.99)
    middle = percentile(undisturbed, 0.5) * 1e3, percentile(disturbed, 0.5) * 1e3
    print(f"\nothers: p50 {middle[0]:.2f} → {middle[1]:.2f} ms, p99 {before * 1e3:.2f} → {after * 1e3:.2f} ms")
    rate = sum(flood.values()) / SECONDS
    print(f"that is {after / before:.2f} times, beside one who asked {rate:.0f} times a second and got {dict(flood)}")
    assert quiet == others == {200: int(READERS * EACH * SECONDS)}
    assert flood[200] == 600
    assert flood[429] > 600
    assert after <= 3 * before


def _flooding(url: str, path: str) -> Counter[int]:
    return asyncio.run(_flood(url, path))


def test_rejection_costs_no_more_than_a_read(tmp_path: Path, store_url: str) -> None:
    """CPU of the service per 429 is compared with that per read, at the same load in the same run."""
    with serving(tmp_path, store_url, "--workers", "1", "--limit-read", str(MOST)) as service:
        path = httpx.URL(httpx.post(service.url, json={"message": "x" * 1000}).json()["url"]).path
        read = _cpu(service, path, MOST, 200)
        refused = _cpu(service, path, MOST, 429)
    print(f"\nCPU: a read {read * 1e6:.1f} µs, a refusal {refused * 1e6:.1f} µs ({refused / read:.2f} times)")
    assert refused <= read


def _cpu(service: Running, path: str, count: int, status: int) -> float:
    """Return the seconds of CPU per request of many requests, 8 at a time, each with this status."""

    async def run() -> Counter[int]:
        statuses: Counter[int] = Counter()
        async with Wire(service.url) as wire:
            for _ in range(count // 8):
                statuses.update(one for one, _ in await wire.ask([get(path)] * 8))
        return statuses

    measured = RunningServer(service.url, service.process.pid)
    before = measured.cpu()
    assert asyncio.run(run()) == {status: count}
    return (measured.cpu() - before) / count
