"""The retry policy: which outcomes are tried again, and after which delay. Pure: chance is an argument."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from messaging_api.client.protocol import HttpRequest, HttpResponse, TransportFailure, retry_after


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits on retries: at most `max_attempts` attempts, and `max_seconds` of delays and failed attempts.

    The n-th delay is random, between 0 and `first_delay` * 2^(n-1) seconds, capped at `max_delay` ("full jitter", so
    that clients that failed together do not retry together). If the server sends Retry-After, that time is added to
    the delay. A request is not retried when its delay would exceed what is left of `max_seconds`.
    """

    max_seconds: float = 30.0
    max_attempts: int = 8
    first_delay: float = 0.25
    max_delay: float = 8.0
    random: Callable[[], float] = random.random

    def delay(self, attempts: int, spent: float, outcome: HttpResponse | TransportFailure) -> float | None:
        """Return the seconds to wait after `attempts` attempts and `spent` seconds, or None to stop at this outcome."""
        requested = retry_after(outcome) if isinstance(outcome, HttpResponse) else None
        backoff = self.random() * min(self.first_delay * 2 ** (attempts - 1), self.max_delay)
        delay = (requested or 0.0) + backoff
        return delay if attempts < self.max_attempts and spent + delay <= self.max_seconds else None


def is_retryable(request: HttpRequest, outcome: HttpResponse | TransportFailure) -> bool:
    """Return whether sending `request` again after `outcome` is safe and may succeed.

    429 and 503 mean that the server did nothing. After 502 and 504, which gateways send too, nobody knows.
    """
    if isinstance(outcome, TransportFailure):
        return not outcome.permanent and (request.repeatable or not outcome.sent)
    return outcome.status in ((429, 502, 503, 504) if request.repeatable else (429, 503))
