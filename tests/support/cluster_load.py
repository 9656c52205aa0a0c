"""A steady load on a service, with a check of what the service acknowledged.

Writers post messages with one read, messages with unlimited reads, and messages that they burn; readers read some of
them at once. In the end every acknowledged message is requested again: an unread one must be there, one that was shown
or burned must not.
"""

import contextlib
import http.client
import json
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

PACE = 0.004
"""Seconds that each thread pauses between two requests: a steady load, not the highest possible one."""
WRITERS = READERS = 3

Kind = Literal["once", "many", "burnt"]


class Answer(NamedTuple):
    """A response: its end in monotonic seconds, and its status, 0 for a broken connection."""

    at: float
    status: int
    body: dict[str, object]
    retry_after: str | None


@dataclass
class Message:
    """An acknowledged message. `doubted`: a request for it got 503, and may have been carried out."""

    kind: Kind
    text: str
    message_id: str
    receipt: str
    shown: int = 0
    burned: bool = False
    doubted: bool = False


@dataclass
class Verdict:
    """The result of the check. `spent` are messages whose only read was used by a request that got 503."""

    acknowledged: int = 0
    shown: int = 0
    burned: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    spent: int = 0
    refused: int = 0
    odd: list[str] = field(default_factory=list)


class Client:
    """A client with one connection, which it reopens after a failure."""

    def __init__(self, url: str) -> None:
        self._netloc = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._netloc, timeout=10)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request and return its response."""
        payload = None if body is None else json.dumps(body)
        fields = {"accept": "application/json", "content-type": "application/json", **headers}
        try:
            self._connection.request(method, path, payload, fields)
            response = self._connection.getresponse()
            told = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(time.monotonic(), 0, {}, None)
        return Answer(time.monotonic(), response.status, told, response.headers["retry-after"])

    def close(self) -> None:
        """Close the connection; the next request reopens it."""
        self._connection.close()


class Load:
    """A load that starts at once; `finish` returns the verdict. `rejections` are the times of responses with 503."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._enough = threading.Event()
        self._unread: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self.rejections: list[float] = []
        self.odd: list[str] = []
        self._threads = [threading.Thread(target=self._work, args=(self._write,)) for _ in range(WRITERS)]
        self._threads += [threading.Thread(target=self._work, args=(self._read,)) for _ in range(READERS)]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        """The number of messages acknowledged so far."""
        return len(self._messages)

    def finish(self) -> Verdict:
        """Stop the load, then request every acknowledged message."""
        self._enough.set()
        for thread in self._threads:
            thread.join()
        verdict = Verdict(acknowledged=len(self._messages), refused=len(self.rejections), odd=self.odd)
        with contextlib.closing(Client(self._url)) as client:
            for message in self._messages:
                self._judge(message, self._settled(client, message), verdict)
        return verdict

    def _work(self, step: Callable[[Client], None]) -> None:
        with contextlib.closing(Client(self._url)) as client:
            while not self._enough.wait(PACE):
                step(client)

    def _write(self, client: Client) -> None:
        kind: Kind = random.choice(("once", "once", "once", "many", "burnt"))
        text = f"{random.getrandbits(128):032x}"
        draft = {"message": text, "reads": 1} if kind == "once" else {"message": text}
        keyed = {"idempotency-key": text} if random.random() < 0.3 else {}
        answer = client.ask("POST", "/", draft, **keyed)
        if keyed and answer.status == 503:  # as a careful client would: the same again, which must not be a second one
            self._note(answer)
            answer = client.ask("POST", "/", draft, **keyed)
        if answer.status != 200:
            self._note(answer)
            return
        message = Message(kind, text, str(answer.body["message_id"]), urlsplit(str(answer.body["receipt"])).path)
        with self._lock:
            self._messages.append(message)
        if kind == "burnt":
            self._burn(client, message)
        elif random.random() < 0.5:
            self._unread.put(message)

    def _read(self, client: Client) -> None:
        try:
            message = self._unread.get(timeout=0.05)
        except queue.Empty:
            return
        self._show(message, client.ask("GET", f"/msg/{message.message_id}"))

    def _burn(self, client: Client, message: Message) -> None:
        answer = client.ask("DELETE", message.receipt)
        if answer.status == 200:
            message.burned = True
        else:
            message.doubted = True
            self._note(answer)

    def _show(self, message: Message, answer: Answer) -> None:
        if answer.status == 200 and answer.body["message"] == message.text:
            message.shown += 1
        elif answer.status != 404 or not message.doubted:
            message.doubted = True
            self._note(answer)

    def _note(self, answer: Answer) -> None:
        with self._lock:
            if answer.status == 503 and answer.retry_after is not None:
                self.rejections.append(answer.at)
            else:
                self.odd.append(f"{answer.status} {answer.body.get('title')}")

    def _settled(self, client: Client, message: Message) -> Answer:
        """Return the response to a request for the message after all failures are repaired."""
        while (answer := client.ask("GET", f"/msg/{message.message_id}")).status == 503:
            time.sleep(0.05)
        return answer

    def _judge(self, message: Message, answer: Answer, verdict: Verdict) -> None:
        there = answer.status == 200
        verdict.shown += message.shown
        verdict.burned += message.burned
        if message.kind == "once" and message.shown + there > 1:
            verdict.doubled.append(message.text)
        if there and message.burned:
            verdict.back.append(message.text)
        due = message.kind == "many" or (message.kind == "once" and not message.shown)
        if due and not there and message.doubted and message.kind == "once":
            verdict.spent += 1
        elif due and not there:
            verdict.lost.append(message.text)
