"""Guessing: random links find nothing, and the response time does not reveal the reason."""

import asyncio
import random
import uuid
from collections import Counter
from pathlib import Path

import httpx

from tests.support.fast_client import Wire, get, percentile
from tests.support.service import serving

GUESSES = 500_000
"""On each store."""
SAMPLES = 10_000
AT_ONCE, WIRES = 50, 50


def test_random_links_find_nothing(tmp_path: Path, store_url: str) -> None:
    """Half a million random UUIDs against each store, with messages in it, all get 404."""
    with serving(tmp_path, store_url) as service:
        with httpx.Client() as client:
            for _ in range(100):
                client.post(service.url, json={"message": "x"})
        found = asyncio.run(_guess(service.url))
    print(f"\n{sum(found.values())} guesses: {dict(found)}")
    assert found == {404: GUESSES}


async def _guess(url: str) -> Counter[int]:
    found: Counter[int] = Counter()

    async def run() -> None:
        async with Wire(url) as wire:
            for _ in range(GUESSES // WIRES // AT_ONCE):
                paths = [f"/{random.choice(('msg', 'receipt'))}/{uuid.uuid4()}" for _ in range(AT_ONCE)]
                found.update(status for status, _ in await wire.ask(map(get, paths)))

    await asyncio.gather(*(run() for _ in range(WIRES)))
    return found


def test_response_time_does_not_reveal_the_reason(tmp_path: Path, store_url: str) -> None:
    """Unknown, burned and read out, asked in random order on one connection, take the same time.

    Whoever guesses from one time which of two kinds it was is right half of the time, ± 5 %. Malformed may differ a
    little more: whoever asks sees that it is.
    """
    with serving(tmp_path, store_url, "--workers", "1") as service:
        times = asyncio.run(_times(service.url, _dead_links(service.url)))
    print(f"\n{'':10} {'p10':>8} {'p50':>8} {'p90':>8} {'p99':>8} µs")
    for kind, took in times.items():
        print(f"{kind:10} " + " ".join(f"{percentile(took, share) * 1e6:8.1f}" for share in (0.1, 0.5, 0.9, 0.99)))
    kinds = sorted(times)
    for one in kinds:
        for other in kinds[kinds.index(one) + 1 :]:
            right = _told_apart(times[one], times[other])
            print(f"{one} against {other}: right {right:.1%}")
            assert abs(right - 0.5) < (0.1 if "malformed" in (one, other) else 0.05), (one, other)


def _dead_links(url: str) -> dict[str, list[str]]:
    """Return paths of each kind, in equal numbers, so that caches favor none of them."""
    burned, read, count = [], [], 50
    with httpx.Client(base_url=url, headers={"accept": "application/json"}) as client:
        for _ in range(count):
            posted = client.post("/", json={"message": "x" * 100, "reads": 1}).json()
            client.delete(httpx.URL(posted["receipt"]).path)
            burned.append(httpx.URL(posted["url"]).path)
            posted = client.post("/", json={"message": "x" * 100, "reads": 1}).json()
            read.append(httpx.URL(posted["url"]).path)
            assert client.get(read[-1]).status_code == 200
    unknown = [f"/msg/{uuid.uuid4()}" for _ in range(count)]
    malformed = [f"/msg/{str(uuid.uuid4())[:-1]}g" for _ in range(count)]
    return {"burned": burned, "read out": read, "unknown": unknown, "malformed": malformed}


async def _times(url: str, links: dict[str, list[str]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {kind: [] for kind in links}
    order = [kind for kind in links for _ in range(SAMPLES)]
    random.shuffle(order)
    async with Wire(url) as wire:
        for kind in order:
            status, took = await wire.timed(get(random.choice(links[kind])))
            assert status == 404
            times[kind].append(took)
    return times


def _told_apart(one: list[float], other: list[float]) -> float:
    """Return how often a value of `other` is the larger one (Mann and Whitney's U as a share); 0.5 shows nothing."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    smaller = wins = 0
    for _, which in ranked:
        smaller += which == 0
        wins += smaller if which else 0
    return wins / (len(one) * len(other))
