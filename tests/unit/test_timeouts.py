"""Deadlines on a clock that the test turns."""

from messaging_api.server.timeouts import ConnectionState, Phase, Timeouts


class Connection:
    """A connection whose state is told, and which notes what it is ended for."""

    def __init__(self) -> None:
        self.phase = Phase.HEAD
        self.about: object = None
        self.ended: list[Phase] = []

    def state(self) -> ConnectionState:
        return self.phase, self.about

    def expire(self, phase: Phase) -> None:
        self.ended.append(phase)


def test_a_phase_ends_when_its_time_is_over() -> None:
    """Not before; each phase has its own time."""
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


def test_time_counts_anew_when_something_else_begins() -> None:
    """Another phase, or another request in the same phase."""
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


def test_phases_without_a_deadline_last() -> None:
    """A request that is being served is the store's to end."""
    now = 0.0
    deadlines = Timeouts({Phase.HEAD: 10}, lambda: now)
    one = Connection()
    one.phase = Phase.WORK
    deadlines.check([one])
    now = 1e9
    deadlines.check([one])
    assert one.ended == []
