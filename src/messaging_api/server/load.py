"""What one worker takes at once."""

from dataclasses import dataclass, field

from messaging_api.observability.audit import AuditLog


@dataclass
class WorkerLoad:
    """The ceilings of one worker.

    `slow` is the number of requests that wait for their body: each holds a connection, but no place in flight, so that
    clients who trickle do not keep others out.
    """

    audit: AuditLog
    max_connections: int
    max_in_flight: int
    max_held: int
    """Bytes of bodies that are not complete; past it, large ones are refused."""
    slow: int = 0
    held: int = 0
    leaving: set[object] = field(default_factory=set)
    """Connections over the ceiling that are being told so."""
