"""When to ask again, and after how long. Pure: time and chance are handed in."""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from messaging_api.client.protocol import HttpRequest, HttpResponse, TransportFailure, retry_after

Result = TypeVar("Result")


class Sleep(NamedTuple):
    """Let this many seconds pass; `why` may be shown."""

    seconds: float
    why: str


class RunInThread(NamedTuple):
    """Something that takes the processor a while, to be done where it holds nobody up."""

    call: Callable[[], object]


Step = HttpRequest | Sleep | RunInThread
Flow = Generator[Step, Any, Result]
"""What is to be done, one step at a time: whoever runs it sends back an Answer or Broken for a Request, what was
computed for a Compute, nothing for a Wait."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on asking: at most `max_attempts` times, and until `max_seconds` went into pauses and failures.

    The pauses grow from `first_delay` seconds, doubled each time up to `max_delay`, each of a random length up to that
    ("full jitter": clients that failed together do not come back together). A server that asks for a time gets it
    in full, and the pause on top; if that is more than is left, it is not asked again.
    """

    max_seconds: float = 30.0
    max_attempts: int = 8
    first_delay: float = 0.25
    max_delay: float = 8.0
    random: Callable[[], float] = random.random

    def pause(self, tried: int, waited: float, outcome: HttpResponse | TransportFailure) -> float | None:
        """Seconds to wait after `tried` tries, or None to leave it at this outcome."""
        httpx_kwargs = retry_after(outcome) if isinstance(outcome, HttpResponse) else None
        pause = (httpx_kwargs or 0.0) + self.random() * min(self.first_delay * 2 ** (tried - 1), self.max_delay)
        return pause if tried < self.max_attempts and waited + pause <= self.max_seconds else None


def with_retries(request: HttpRequest, policy: RetryPolicy) -> Flow[HttpResponse | TransportFailure]:
    """Ask until there is an answer worth having, or no more patience."""
    waited, tried = 0.0, 0
    while True:
        outcome: HttpResponse | TransportFailure = yield request
        tried += 1
        waited += outcome.took if isinstance(outcome, TransportFailure) else 0.0
        again = _worth_another_try(outcome, repeatable=request.repeatable)
        pause = policy.pause(tried, waited, outcome) if again else None
        if pause is None:
            return outcome
        yield Sleep(pause, outcome.reason if isinstance(outcome, TransportFailure) else "the server is busy")
        waited += pause


def _worth_another_try(outcome: HttpResponse | TransportFailure, *, repeatable: bool) -> bool:
    """429 and 503 mean that nothing was done; a gateway's 502 and 504, that nobody knows."""
    if isinstance(outcome, TransportFailure):
        return not outcome.final and (repeatable or not outcome.sent)
    return outcome.status in ((429, 502, 503, 504) if repeatable else (429, 503))
