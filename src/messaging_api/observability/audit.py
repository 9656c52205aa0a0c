"""What was turned away and what failed, for those who look for a breach: with client, request id and reason code.

A flood must not fill the disk, and nothing must go unsaid. So of each event, reason and client the first is told at
once in a line of its own; those that follow are counted, and told in one line when `report` is called, which happens
each second: with their number, and for the rest as the last of them was.
"""

from typing import NamedTuple

from messaging_api.observability.logging import Field, Journal, request_id
from messaging_api.observability.metrics import Row

MOST = 1000
"""Events, reasons and clients told apart between two reports; a flood from more addresses is told as one."""
MANY = "many"
"""The client of what came from too many to tell apart."""

_Key = tuple[str, str, str]


class _Last(NamedTuple):
    """The last of some like events, and how many there were since the first, which was told."""

    times: int
    level: str
    fields: dict[str, Field]


class Refusals:
    """Tells `journal` and counts in `row`."""

    def __init__(self, journal: Journal, row: Row) -> None:
        self._journal = journal
        self._row = row
        self._seen: dict[_Key, _Last] = {}

    def note(self, reason: str, client: str, **fields: Field) -> None:
        """A request or connection was turned away; `reason` is one of `metrics.REFUSALS`."""
        self._row.count("messaging_refusals", reason)
        self._fold(("refused", reason, client), "warning", fields)

    def fault(self, event: str, reason: str, client: str, **fields: Field) -> None:
        """Something of ours failed while it served `client`."""
        self._fold((event, reason, client), "error", fields)

    def report(self) -> None:
        """Tell what has gathered since the last report."""
        seen, self._seen = self._seen, {}
        for key, last in seen.items():
            if last.times:
                self._tell(key, last)

    def _fold(self, key: _Key, level: str, fields: dict[str, Field]) -> None:
        fields.setdefault("request_id", request_id.get())
        seen = self._seen.get(key)
        if seen is None and len(self._seen) >= MOST:
            key = (*key[:2], MANY)
            seen = self._seen.get(key)
        if seen is None:
            self._tell(key, _Last(1, level, fields))
            self._seen[key] = _Last(0, level, fields)
        else:
            self._seen[key] = _Last(seen.times + 1, level, fields)

    def _tell(self, key: _Key, last: _Last) -> None:
        event, reason, client = key
        self._journal.event(event, last.level, **last.fields, reason=reason, client=client, count=last.times)
