"""The body of a request, as it arrives: limits, waiting, and what a worker holds."""

from collections.abc import Iterator

import pytest

from messaging_api.core.pending import Driver
from messaging_api.errors import IncompleteBody
from messaging_api.server.body import LARGE_BODY, Body
from messaging_api.server.early_responses import Rejection
from messaging_api.server.load import WorkerLoad
from messaging_api.web.http_errors import BodyTooLong
from tests.support.connections import worker_load


class Reading:
    """A body that is read within a limit; `events` has when its handler waited, continued and ended."""

    def __init__(self, declared: int = 0, load: WorkerLoad | None = None) -> None:
        self.load = load or worker_load()[0]
        self.events: list[object] = []
        self.body = Body(
            self.load, declared, lambda: self.events.append("wait"), lambda: self.events.append("continue")
        )
        self.driver: Driver[bytes] = Driver()

    def read(self, limit: int = 100) -> None:
        self.driver.run(self.body.read(limit), self.events.append)


@pytest.fixture
def reading() -> Iterator[Reading]:
    one = Reading()
    yield one
    one.driver.close()


def test_complete_body_is_read_at_once(reading: Reading) -> None:
    """A body in any number of parts is read without waiting."""
    for chunk in (b"a", b"bc", b""):
        reading.body.feed(chunk)
    reading.body.finish()
    reading.read()
    assert reading.events == [b"abc"]
    assert reading.load.held == 0


def test_request_without_a_body_has_an_empty_one(reading: Reading) -> None:
    """A request without a body has an empty one."""
    reading.body.finish()
    reading.read(0)
    assert reading.events == [b""]


def test_incomplete_body_is_awaited(reading: Reading) -> None:
    """The handler resumes with the last part; meanwhile the worker holds the parts."""
    reading.body.feed(b"a")
    reading.read()
    assert (reading.events, reading.body.awaited, reading.load.held) == (["wait"], True, 1)
    reading.body.feed(b"b")
    assert (reading.events, reading.load.held) == (["wait"], 2)
    reading.body.finish()
    assert reading.events == ["wait", "continue", b"ab"]
    assert (reading.body.awaited, reading.load.held) == (False, 0)


@pytest.mark.parametrize(("declared", "chunks"), [(101, []), (0, [b"a" * 101]), (101, [b"a"])])
def test_body_known_to_be_too_long_is_rejected_at_once(declared: int, chunks: list[bytes]) -> None:
    """The length is known from Content-Length or from the parts so far; the rest is not waited for."""
    reading = Reading(declared)
    for chunk in chunks:
        reading.body.feed(chunk)
    reading.read(100)
    assert [type(event) for event in reading.events] == [BodyTooLong]


def test_body_is_rejected_at_the_first_byte_over_the_limit(reading: Reading) -> None:
    """A body of exactly the limit is accepted."""
    reading.read(3)
    reading.body.feed(b"abc")
    assert reading.events == ["wait"]
    reading.body.feed(b"d")
    assert [*reading.events[:2], type(reading.events[2])] == ["wait", "continue", BodyTooLong]
    exact = Reading(3)
    exact.read(3)
    exact.body.feed(b"abc")
    exact.body.finish()
    assert exact.events == ["wait", "continue", b"abc"]


def test_dropped_body_holds_nothing(reading: Reading) -> None:
    """Received parts are released, later ones are not kept, and the end changes nothing."""
    reading.body.feed(b"abc")
    reading.body.drop()
    reading.body.drop()
    assert (reading.load.held, reading.body.size) == (0, 0)
    reading.body.feed(b"def")
    assert (reading.load.held, reading.body.size) == (0, 0)
    reading.body.finish()
    reading.body.drop()
    assert (reading.load.held, reading.body.size) == (0, 0)


def test_dropped_complete_body_is_released_once(reading: Reading) -> None:
    """The parts of a complete body are not subtracted twice."""
    reading.body.feed(b"abc")
    reading.body.finish()
    reading.body.drop()
    assert reading.load.held == 0


def test_large_bodies_are_rejected_when_the_worker_holds_too_much() -> None:
    """Small ones are still accepted, so that a few large bodies do not block others."""
    load, _ = worker_load(max_held=LARGE_BODY + 10)
    large, small = Reading(load=load), Reading(load=load)
    large.body.feed(b"a" * (LARGE_BODY + 10))
    small.body.feed(b"a" * LARGE_BODY)
    with pytest.raises(Rejection) as caught:
        large.body.feed(b"a")
    assert caught.value.reason == "bodies"
    with pytest.raises(Rejection):
        small.body.feed(b"a")
    large.body.drop()
    small.body.drop()
    assert load.held == 0


def test_broken_body_raises_its_error_at_once(reading: Reading) -> None:
    """A handler that begins to read it gets the error at once, instead of waiting for a timeout."""
    error = IncompleteBody()
    reading.body.feed(b"a")
    reading.body.fail(error)
    reading.read()
    assert reading.events == [error]


def test_closed_handler_stops_waiting(reading: Reading) -> None:
    """When the connection of a handler ends, its wait ends too, and later parts do not resume it."""
    reading.read()
    reading.driver.close()
    assert (reading.events, reading.body.awaited) == (["wait", "continue"], False)
    reading.body.feed(b"a")
    reading.body.finish()
    assert reading.events == ["wait", "continue"]
