"""Odd requests among valid ones, and what must hold whatever comes.

Each request gets its response, in order. What was posted reads back byte for byte. A one-time message is read only if
its text was received. No response tells of an exception. The workers stay alive, and their memory bounded.
"""

import asyncio
import json
import random
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.support.conversations import Response, Step, converse, parse
from tests.support.normal_client import resident
from tests.support.odd_requests import Framed, framed_requests, mutant, requests
from tests.support.service import Running, sample, serving, wait_for

BATCH, CONNECTIONS, ROUNDS = 20, 20, 4
"""Requests of each kind that are made together, connections at a time, and times that they are mixed again."""
GROWTH = 24
"""MiB by which the processes may grow after the first tenth of the requests: caches of the store, and the heap."""
TELLTALES = (b"Traceback", b'File "', b".py", b"Error(", b"Exception", b"sqlite", b"redis", b"0x7f")
"""What only a text of an exception, or of a library, would hold."""
_ADDED = (
    b"",
    b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
    b"connection: keep-alive, Upgrade\r\nupgrade: websocket\r\n",
    b"expect: 100-continue\r\n",
    b"accept: */*;q=0.1\r\n",
    b"x-y: " + b"x" * 5000 + b"\r\n",
)
"""Header lines that change nothing about a valid request."""


class OneTime(NamedTuple):
    """A message that can be read once."""

    path: str
    receipt: str
    text: bytes


@contextmanager
def unshaken(folder: Path, store: str) -> Iterator[Running]:
    """Run a service that must be the same at the end: the same workers, nothing unexpected logged, nothing open."""
    options = ("--trusted-proxies", "127.0.0.1", "--cors-origins", "https://x", "--body-timeout", "2")
    with serving(folder, store, *options) as running:
        before = running.workers()
        yield running
        wait_for(lambda: sample(running.ops_url, "messaging_requests_in_flight") == 0)
        wait_for(lambda: open_connections(running) == 0)
        assert running.workers() == before
        told = [json.loads(line) for line in running.log.read_text().splitlines()]
        assert {line["event"] for line in told} <= {"started", "request", "refused"}


def open_connections(service: Running) -> float:
    """Return how many connections all workers have."""
    families = text_string_to_metric_families(httpx.get(f"{service.ops_url}/metrics").text)
    values = [one.value for family in families for one in family.samples if one.name == "messaging_worker_connections"]
    assert values
    return sum(values)


class Fuzzer:
    """Sends odd requests to `service`; `seen` counts the responses by their status, `sent` the odd requests."""

    def __init__(self, service: Running) -> None:
        self.seen: Counter[int] = Counter()
        self.sent = 0
        self._url = service.url
        self._kept = [self._post_known(f"known message {n} ".encode() * 50) for n in range(8)]
        self._one_time: deque[OneTime] = deque()
        self._posted: list[tuple[str, bytes]] = []
        self._asked: list[tuple[OneTime, list[bool]]] = []

    def _post_known(self, text: bytes) -> tuple[str, bytes]:
        posted = httpx.post(self._url, content=text, headers={"content-type": "text/plain"}).raise_for_status()
        return urlsplit(posted.json()["url"]).path, text

    async def round(self, framed: list[Framed], wild: list[bytes], chance: random.Random) -> None:
        """Send one mix of them, then look after what it did."""
        self._posted, self._asked = [], []
        await asyncio.gather(*(self._connection(framed, wild, chance) for _ in range(CONNECTIONS)))
        posted, asked = self._posted, self._asked
        steps = [self._get(path, text) for path, text in posted]
        steps += [self._state(one, "read" if came else "available") for one, came in asked]
        for start in range(0, len(steps), 50):
            some = steps[start : start + 50]
            done, _ = await converse(self._url, some, b"", chance)
            assert done == len(some), "valid requests were refused"

    async def _connection(self, framed: list[Framed], wild: list[bytes], chance: random.Random) -> None:
        steps: list[Step] = []
        tail = b""
        for _ in range(chance.randint(1, 8)):
            odd = chance.choice(framed)
            steps += [self._valid(chance) for _ in range(chance.randint(0, 2))]
            if chance.random() < 0.05:
                steps += [self._too_long(), *(self._valid(chance) for _ in range(3))]
            steps.append(Step(odd.varied(chance), odd.method, lambda _: None))
            self.sent += 1
            if odd.last:
                break
        else:
            if chance.random() < 0.8:
                tail = chance.choice(wild)
                tail = mutant(tail, chance) if chance.random() < 0.8 else tail
                self.sent += 1
        _, came = await converse(self._url, steps, tail, chance)
        assert not [word for word in TELLTALES if word.lower() in came.lower()], came
        self.seen.update([one.status for one in parse(came, [step.method for step in steps])] or [0])

    def _valid(self, chance: random.Random) -> Step:
        kind = chance.randrange(4)
        added = chance.choice(_ADDED)
        if kind == 0 and self._one_time:
            return self._read(self._one_time.popleft(), added)
        if kind == 1:
            return self._get(*chance.choice(self._kept), added)
        return self._post(chance, added)

    def _get(self, path: str, text: bytes, added: bytes = b"") -> Step:
        def check(response: Response) -> None:
            assert (response.status, response.body) == (200, text)

        head = f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n".encode()
        return Step(head + added + b"\r\n", "GET", check)

    def _read(self, one: OneTime, added: bytes) -> Step:
        came: list[bool] = []
        self._asked.append((one, came))
        step = self._get(one.path, one.text, added)

        def check(response: Response) -> None:
            step.check(response)
            came.append(True)

        return Step(step.data, "GET", check)

    def _too_long(self) -> Step:
        """Return a request whose response ends the connection, whatever is behind it."""

        def check(response: Response) -> None:
            assert (response.status, response.close) == (413, True)

        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 70000\r\n\r\n"
        return Step(head + b"x" * 70_000, "POST", check)

    def _state(self, one: OneTime, state: str) -> Step:
        return self._get(one.receipt, f"{state}\n".encode())

    def _post(self, chance: random.Random, added: bytes) -> Step:
        once = chance.random() < 0.5
        text = chance.randbytes(chance.randint(1, chance.choice((50, 5000, 30_000)))).hex().encode()

        def check(response: Response) -> None:
            assert response.status == 200, response
            told = json.loads(response.body)
            path = urlsplit(told["url"]).path
            if once:
                self._one_time.append(OneTime(path, urlsplit(told["receipt"]).path, text))
            else:
                self._posted.append((path, text))

        head = b"POST /?ttl=3600%b HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n" % (b"&reads=1" if once else b"")
        body = b"content-length: %d\r\n\r\n%b" % (len(text), text)
        if chance.random() < 0.5:
            at = chance.randint(1, len(text))
            parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (text[:at], text[at:]) if part)
            body = b"transfer-encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
        return Step(head + added + body, "POST", check)


def fuzz(service: Running, odd: int) -> Fuzzer:
    """Send at least `odd` odd requests."""
    fuzzer = Fuzzer(service)
    batches = odd // (CONNECTIONS * ROUNDS * 4) + 1
    sizes: list[int] = []

    @settings(
        max_examples=batches,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(framed_requests(), min_size=BATCH, max_size=BATCH),
        st.lists(requests(), min_size=BATCH, max_size=BATCH),
        st.integers(0, 2**32),
    )
    def run(framed: list[Framed], wild: list[bytes], seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(ROUNDS):
            asyncio.run(fuzzer.round(framed, wild, chance))
        sizes.append(resident(service))

    while fuzzer.sent < odd:
        run()
    assert {200, 400, 404, 405} <= set(fuzzer.seen), "the requests are not as odd as they should be"
    assert sizes[-1] - sizes[len(sizes) // 10] <= GROWTH, sizes
    return fuzzer
