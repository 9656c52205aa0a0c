"""What was turned away and what failed, for those who look for a breach: with client, request id and reason code.

A flood must not fill the disk, and nothing must go unsaid. So of each event, reason and client the first is told at
once in a line of its own; those that follow are counted, and told in one line when `report` is called, which happens
each second: with their number, and for the rest as the last of them was.
"""

from typing import NamedTuple

from messaging_api.observability.logging import Field, JsonLogger
from messaging_api.observability.metrics import ProcessMetrics

MAX_DISTINCT = 1000
"""Events, reasons and clients told apart between two reports; a flood from more addresses is told as one."""
MANY_CLIENTS = "many"
"""The client of what came from too many to tell apart."""

_Key = tuple[str, str, str]


class _Last(NamedTuple):
    """The last of some like events, and how many there were since the first, which was told."""

    times: int
    level: str
    fields: dict[str, Field]


class AuditLog:
    """Tells `logger` and counts in `metrics`."""

    def __init__(self, logger: JsonLogger, metrics: ProcessMetrics) -> None:
        self._logger = logger
        self._metrics = metrics
        self._seen: dict[_Key, _Last] = {}

    def rejected(self, reason: str, client: str, **fields: Field) -> None:
        """A request or connection was turned away; `reason` is one of `metrics.REJECTION_REASONS`."""
        self._metrics.count("messaging_refusals", reason)
        self._fold(("refused", reason, client), "warning", fields)

    def failed(self, event: str, reason: str, client: str, **fields: Field) -> None:
        """Something of ours failed while it served `client`."""
        self._fold((event, reason, client), "error", fields)

    def report(self) -> None:
        """Tell what has gathered since the last report."""
        seen, self._seen = self._seen, {}
        for key, last in seen.items():
            if last.times:
                self._tell(key, last)

    def _fold(self, key: _Key, level: str, fields: dict[str, Field]) -> None:
        fields.setdefault("request_id", None)
        seen = self._seen.get(key)
        if seen is None and len(self._seen) >= MAX_DISTINCT:
            key = (*key[:2], MANY_CLIENTS)
            seen = self._seen.get(key)
        if seen is None:
            self._tell(key, _Last(1, level, fields))
            self._seen[key] = _Last(0, level, fields)
        else:
            self._seen[key] = _Last(seen.times + 1, level, fields)

    def _tell(self, key: _Key, last: _Last) -> None:
        event, reason, client = key
        self._logger.event(event, last.level, **last.fields, reason=reason, client=client, count=last.times)
