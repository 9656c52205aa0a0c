"""When the client repeats an interrupted read, by the steps of its flow; the test sets the clock."""

import json

import pytest

from messaging_api.client import ReadInterrupted, RetryPolicy, flows
from messaging_api.client.protocol import HttpRequest, HttpResponse, TransportFailure

LINK = "http://h/msg/00000000-0000-4000-8000-000000000000"
LIMITS = {"max_message_bytes": 1, "max_ttl": 1, "default_ttl": 1, "max_reads": 1, "resume_seconds": 60}
CUT = TransportFailure("cut", sent=True)
POLICY = RetryPolicy(max_seconds=1000, random=lambda: 0.0)


def response(status: int, body: object = None) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(body).encode())


class Conversation:
    """A fetch, step by step; `now` is the time in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(flows, "_steady_time", lambda: self.now)
        self._flow = flows.fetch(LINK, POLICY)
        self.step = next(self._flow)

    def send(self, outcome: object, seconds: float = 0.0) -> HttpRequest:
        """Give the outcome of a step that took so long; skip pauses; return the next request."""
        self.now += seconds
        self.step = self._flow.send(outcome)
        while isinstance(self.step, flows.Sleep):
            self.now += self.step.seconds
            self.step = self._flow.send(None)
        assert isinstance(self.step, HttpRequest)
        return self.step


def test_read_is_repeated_with_its_key_and_a_limited_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repeated request is the first one, and does not wait longer than the server resumes the read."""
    talk = Conversation(monkeypatch)
    first = talk.step
    assert isinstance(first, HttpRequest)
    assert talk.send(CUT, 10).url == "http://h/"
    again = talk.send(response(200, {"limits": LIMITS}), 5)
    assert (again.url, again.headers) == (first.url, first.headers)
    assert again.timeout == pytest.approx(60 * 0.8 - 15)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_read_is_not_repeated_after_the_time_however_slow_the_responses(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Slow error responses use up the time as well as lost connections do."""
    talk = Conversation(monkeypatch)
    talk.send(CUT)
    talk.send(response(200, {"limits": LIMITS}))
    talk.send(response(status), 30)
    with pytest.raises(ReadInterrupted, match="not known"):
        talk.send(response(status), 30)


def test_read_that_took_too_long_is_not_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After that time HEAD tells what is left, instead of a second read."""
    talk = Conversation(monkeypatch)
    talk.send(CUT, 50)
    assert talk.send(response(200, {"limits": LIMITS})).method == "HEAD"


def test_repeat_that_was_not_sent_leaves_the_first_attempt_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection says nothing about the attempt before, which may have spent a read."""
    talk = Conversation(monkeypatch)
    talk.send(CUT)
    talk.send(response(200, {"limits": LIMITS}))
    with pytest.raises(ReadInterrupted, match="not known"):
        talk.send(TransportFailure("refused", sent=False, permanent=True))
