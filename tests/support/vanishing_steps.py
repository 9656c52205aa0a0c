"""The steps at which the readers of a test vanish, and the report of what became of their reads."""

import os
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

LONG = 4_000_000
"""Bytes of a message that does not fit into the buffers of the sockets."""
ONE_BYTE, ALL_BUT_ONE = 1e-9, 1 - 1e-9
"""Shares of a response."""

How = Literal["close", "half-close", "reset", "stall"]


class Step(NamedTuple):
    """When and how a reader vanishes.

    `sent` is the share of its head that it sends, in pieces of `piece` bytes; `received` is the share of the
    response that it reads.
    """

    where: str
    how: How
    sent: float = 1.0
    received: float = 0.0
    piece: int = 1000


HOWS: tuple[How, ...] = ("close", "half-close", "reset")
STEPS = (
    *(Step("before the request", how, sent=0) for how in HOWS),
    *(Step("within the head", how, sent=0.5) for how in HOWS),
    *(Step("within the head, sent byte by byte", how, sent=0.9, piece=1) for how in HOWS),
    *(Step("after the head", how) for how in HOWS),
    *(Step("after the head, sent byte by byte", how, piece=1) for how in HOWS),
    *(Step("after 1 byte of the response", how, received=ONE_BYTE) for how in HOWS),
    *(Step("within the response", how, received=0.5) for how in HOWS),
    *(Step("before the last byte", how, received=ALL_BUT_ONE) for how in HOWS),
    *(Step("after the last byte", how, received=1) for how in HOWS),
    Step("after the head", "stall"),
)


@dataclass
class Reader:
    """A reader of a message: whether the whole text has reached it, at first or when it came back early and late."""

    step: Step
    key: str | None
    received: bool = False
    early: bool = False
    late: bool = False


@dataclass
class Message:
    """A message whose reads are limited, and its readers."""

    text: bytes
    reads: int
    readers: list[Reader]
    path: str = ""
    receipt: str = ""


@dataclass
class Count:
    """The figures of one kind of message.

    `whole` are readers that had the whole text before they vanished, `resumed` those that came back for it. `unseen`
    are the reads that were spent by readers that never got it.
    """

    messages: int = 0
    whole: int = 0
    resumed: int = 0
    unseen: int = 0


@dataclass
class Report:
    """The figures for each step, None for several readers, and whether they had keys; and the defects found."""

    counts: dict[tuple[Step | None, bool], Count] = field(default_factory=lambda: defaultdict(Count))
    stalls: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def count(self, message: Message) -> Count:
        """Return the figures of messages like this."""
        first, *others = message.readers
        return self.counts[None if others else first.step, first.key is not None]

    def __str__(self) -> str:
        lines = ["| reader vanishes | by | messages | spent unseen | messages with a key | resumed | spent unseen |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for step in (*STEPS, None):
            place = (step.where, step.how) if step else ("each of 3 readers of 2 reads", "any")
            bare, keyed = self.counts[step, False], self.counts[step, True]
            cells = (*place, bare.messages, bare.unseen, keyed.messages, keyed.resumed, keyed.unseen)
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join(lines)

    def check(self) -> None:
        """Check what must hold in every run.

        A read without a key may be spent unseen only by a reader that sent the whole head and did not wait for the
        response.
        """
        assert self.lost == []
        assert self.doubled == []
        assert self.stalls > 0
        for (step, key), count in self.counts.items():
            if key or (step is not None and step.sent < 1):
                assert count.unseen == 0, step
            if step is not None and step.sent == 1 and (step.how == "half-close" or step.received == 1):
                assert count.whole == count.messages, step


def messages(total: int) -> Iterator[Message]:
    """Yield messages for one reader that vanishes at each step in turn, and for two of three readers.

    Every other one has readers with keys. There are fewer of those whose readers stall, since they are long.
    """
    for n in range(total):
        step = STEPS[n // 2 % len(STEPS)]
        if step.how == "stall" and n // 2 // len(STEPS) % 4:
            step = STEPS[random.randrange(len(STEPS) - 1)]
        size = LONG if step.how == "stall" else random.choice((300, 5_000, 60_000))
        steps = [step] if n % 10 < 8 or step.how == "stall" else random.choices(STEPS[:-1], k=3)
        readers = [Reader(step, os.urandom(16).hex() if n % 2 else None) for step in steps]
        yield Message(os.urandom(size // 2).hex().encode(), 1 if len(steps) == 1 else 2, readers)
