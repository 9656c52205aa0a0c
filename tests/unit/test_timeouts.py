"""Timeouts on a clock that the test sets."""

from messaging_api.server.timeouts import ConnectionState, Phase, Timeouts


class Connection:
    """A connection whose state is set by the test, and which records the phases that ended it."""

    def __init__(self) -> None:
        self.phase = Phase.HEAD
        self.about: object = None
        self.ended: list[Phase] = []

    def state(self) -> ConnectionState:
        return self.phase, self.about

    def expire(self, phase: Phase) -> None:
        self.ended.append(phase)


def test_connection_expires_at_the_timeout_of_its_phase() -> None:
    """It does not expire before; each phase has its own timeout."""
    now = 0.0
    deadlines = Timeouts({Phase.HEAD: 10, Phase.BODY: 30}, lambda: now)
    one, other = Connection(), Connection()
    other.phase = Phase.BODY
    deadlines.check([one, other])
    now = 9.9
    deadlines.check([one, other])
    assert (one.ended, other.ended) == ([], [])
    now = 10.0
    deadlines.check([one, other])
    assert (one.ended, other.ended) == ([Phase.HEAD], [])


def test_time_restarts_with_the_phase_or_request() -> None:
    """A change of the phase, or of the request in the same phase, restarts the time."""
    now = 0.0
    deadlines = Timeouts({Phase.HEAD: 10, Phase.BODY: 10}, lambda: now)
    one = Connection()
    deadlines.check([one])
    now, one.phase = 6.0, Phase.BODY
    deadlines.check([one])
    now, one.about = 12.0, "another request"
    deadlines.check([one])
    now = 21.0
    deadlines.check([one])
    assert one.ended == []
    now = 22.0
    deadlines.check([one])
    assert one.ended == [Phase.BODY]


def test_phases_without_a_timeout_never_expire() -> None:
    """A request that is being served ends with the timeout of the store."""
    now = 0.0
    deadlines = Timeouts({Phase.HEAD: 10}, lambda: now)
    one = Connection()
    one.phase = Phase.WORK
    deadlines.check([one])
    now = 1e9
    deadlines.check([one])
    assert one.ended == []
