"""A steady load on a service, with a check of what the service acknowledged.

Writers post messages with one read, messages with unlimited reads, and messages that they burn; readers read some of
them at once. Half of the readers have a key, and come back with it until they have an answer. In the end every
acknowledged message is requested again: an unread one must be there, one that was shown or burned must not.

After a 503 nothing may have happened: a message whose reader got one must still be there. After a 504 or a broken
connection it is unknown: without a key, the read may be spent unseen.
"""

import contextlib
import http.client
import json
import queue
import random
import secrets
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
    """An acknowledged message. `key` is that of its reader, if it has one.

    `doubted` says that a request for it got no answer or 504, and may have been carried out; `missed`, that its reader
    got 404.
    """

    kind: Kind
    text: str
    message_id: str
    receipt: str
    key: str | None = None
    shown: int = 0
    burned: bool = False
    doubted: bool = False
    missed: bool = False


@dataclass
class Verdict:
    """The result of the check. `missed` are messages whose reader got 404 although they are there.

    `refused` and `unknown` are the numbers of responses with 503 and 504. `spent` is the number of messages whose only
    read was used by a reader without a key that got no answer; `spent_with_key` are those of readers with a key, and
    `resumed` is the number of those that got the text after such a doubt.
    """

    acknowledged: int = 0
    shown: int = 0
    burned: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    spent: int = 0
    spent_with_key: list[str] = field(default_factory=list)
    resumed: int = 0
    refused: int = 0
    unknown: int = 0
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
    """A load that starts at once; `finish` returns the verdict.

    `rejections` and `unknown` are the times of responses with 503 and 504.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._enough = threading.Event()
        self._unread: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self.rejections: list[float] = []
        self.unknown: list[float] = []
        self.odd: list[str] = []
        self._threads = [threading.Thread(target=self._work, args=(self._write,)) for _ in range(WRITERS)]
        self._threads += [threading.Thread(target=self._work, args=(self._read,)) for _ in range(READERS)]
        for thread in self._threads:
            thread.start()

    @property
    def failures(self) -> list[float]:
        """The times of all responses with 503 or 504."""
        return self.rejections + self.unknown

    @property
    def acknowledged(self) -> int:
        """The number of messages acknowledged so far."""
        return len(self._messages)

    def finish(self) -> Verdict:
        """Stop the load, then request every acknowledged message."""
        self._enough.set()
        for thread in self._threads:
            thread.join()
        verdict = Verdict(len(self._messages), refused=len(self.rejections), unknown=len(self.unknown), odd=self.odd)
        with contextlib.closing(
            Client(self._url)
        ) as client:  # the doubted ones first, while their reads can be resumed
            for message in sorted(self._messages, key=lambda message: not message.doubted):
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
        if keyed and answer.status in (0, 503, 504):  # the same again, which must not be a second one
            self._note(answer)
            answer = client.ask("POST", "/", draft, **keyed)
        if answer.status != 200:
            self._note(answer)
            return
        message = Message(kind, text, str(answer.body["message_id"]), urlsplit(str(answer.body["receipt"])).path)
        message.key = secrets.token_hex() if random.random() < 0.5 else None
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
        self._show(message, _get(client, message, message.key))

    def _burn(self, client: Client, message: Message) -> None:
        answer = client.ask("DELETE", message.receipt)
        if answer.status == 200:
            message.burned = True
        else:
            self._note(answer, message)

    def _show(self, message: Message, answer: Answer) -> None:
        if answer.status == 200 and answer.body["message"] == message.text:
            message.shown += 1
        elif answer.status == 404:
            message.missed = True
        else:
            self._note(answer, message)
            if message.key:
                self._unread.put(message)

    def _note(self, answer: Answer, message: Message | None = None) -> None:
        """Note a response that is no success; one with 503 says that nothing was done."""
        if message is not None and answer.status != 503:
            message.doubted = True
        with self._lock:
            if answer.status == 503 and answer.retry_after is not None:
                self.rejections.append(answer.at)
            elif answer.status == 504 and answer.retry_after is None:
                self.unknown.append(answer.at)
            else:
                self.odd.append(f"{answer.status} {answer.body.get('title')}")

    def _settled(self, client: Client, message: Message) -> Answer:
        """Return the response to a request for the message after all failures are repaired.

        A reader with a key that has no text yet repeats its read. Everybody else has another key.
        """
        key = message.key if message.key and not message.shown else secrets.token_hex()
        while (answer := _get(client, message, key)).status in (0, 503, 504):
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
        if there and message.missed:
            verdict.missed.append(message.text)
        once = message.kind == "once"
        verdict.resumed += once and message.doubted and message.key is not None and message.shown + there == 1
        if there or message.burned or (once and message.shown):
            return
        if message.kind == "many" or not message.doubted:
            verdict.lost.append(message.text)
        elif once and message.key:
            verdict.spent_with_key.append(message.text)
        elif once:
            verdict.spent += 1


def _get(client: Client, message: Message, key: str | None) -> Answer:
    return client.ask("GET", f"/msg/{message.message_id}", **({"idempotency-key": key} if key else {}))
