"""The audit log: rejected and failed requests, with client, request id and reason code, to detect attacks.

Repeated events are aggregated, so that a flood cannot fill the disk and nothing goes unlogged. The first event of each
kind, reason and client is logged at once. Those that follow are counted, and `report`, which is called once a second,
logs them in one line: their number, and the other fields of the last of them.
"""

from typing import NamedTuple

from messaging_api.observability.logging import Field, JsonLogger
from messaging_api.observability.metrics import ProcessMetrics

MAX_DISTINCT = 1000
"""Maximum number of distinct events, reasons and clients between two reports; more clients are logged as one."""
MANY_CLIENTS = "many"
"""The client in a line about more clients than are counted separately."""

_Key = tuple[str, str, str]


class _Aggregate(NamedTuple):
    """Equal events since the first, which was logged: their number, and the last of them."""

    number: int
    level: str
    fields: dict[str, Field]


class AuditLog:
    """A log of rejections and failures to `logger`, which also counts rejections in `metrics`."""

    def __init__(self, logger: JsonLogger, metrics: ProcessMetrics) -> None:
        self._logger = logger
        self._metrics = metrics
        self._aggregates: dict[_Key, _Aggregate] = {}

    def rejected(self, reason: str, client: str, **fields: Field) -> None:
        """Log a rejected request or connection; `reason` is one of `metrics.REJECTION_REASONS`."""
        self._metrics.count("messaging_refusals", reason)
        self._add(("refused", reason, client), "warning", fields)

    def failed(self, event: str, reason: str, client: str, **fields: Field) -> None:
        """Log a failure of the service itself during a request of `client`."""
        self._add((event, reason, client), "error", fields)

    def library(self, statement: str, level: str, **fields: Field) -> None:
        """Log what a library logged at a statement."""
        self._add(("library", statement, ""), level, fields)

    def report(self) -> None:
        """Log the events that were aggregated since the last report."""
        aggregates, self._aggregates = self._aggregates, {}
        for key, aggregate in aggregates.items():
            if aggregate.number:
                self._log(key, aggregate)

    def _add(self, key: _Key, level: str, fields: dict[str, Field]) -> None:
        fields.setdefault("request_id", None)
        aggregate = self._aggregates.get(key)
        if aggregate is None and len(self._aggregates) >= MAX_DISTINCT:
            key = (*key[:2], MANY_CLIENTS)
            aggregate = self._aggregates.get(key)
        if aggregate is None:
            self._log(key, _Aggregate(1, level, fields))
            self._aggregates[key] = _Aggregate(0, level, fields)
        else:
            self._aggregates[key] = _Aggregate(aggregate.number + 1, level, fields)

    def _log(self, key: _Key, events: _Aggregate) -> None:
        event, reason, client = key
        self._logger.event(event, events.level, **events.fields, reason=reason, client=client, count=events.number)
