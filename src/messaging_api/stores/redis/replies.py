"""Checks that a reply has the shape that its command has: a server may be something else than it should be."""

from messaging_api.errors import NotExecuted, OutcomeUnknown
from messaging_api.stores.redis.connection import Reply

_TEXT = "Redis gave a reply of an unexpected shape."


class UnexpectedReply(NotExecuted):
    """A reply of another shape than its command has; the command changes nothing."""

    def __init__(self) -> None:
        super().__init__(_TEXT)


def value(reply: Reply) -> bytes | None:
    """Return the reply to a look-up of a value, None if there is none. Raises UnexpectedReply."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise UnexpectedReply


def written_value(reply: Reply) -> bytes | None:
    """Return the reply to a write that returns a value or None. Raises OutcomeUnknown."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise OutcomeUnknown(_TEXT)


def is_master(reply: Reply) -> bool:
    """Return whether the reply to ROLE is that of a master."""
    return isinstance(reply, list) and reply[:1] == [b"master"]
