"""Checks that a reply has the shape that its command has: a server may be something else than it should be."""

from messaging_api.errors import StoreUnavailable
from messaging_api.stores.redis.connection import Reply


class UnexpectedReply(StoreUnavailable):
    """A reply of another shape than its command has. What the command did is unknown."""

    def __init__(self) -> None:
        super().__init__("Redis gave a reply of an unexpected shape.")


def value(reply: Reply) -> bytes | None:
    """Return the reply to a command that returns a value, None if there is none. Raises UnexpectedReply."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise UnexpectedReply


def is_master(reply: Reply) -> bool:
    """Return whether the reply to ROLE is that of a master."""
    return isinstance(reply, list) and reply[:1] == [b"master"]
