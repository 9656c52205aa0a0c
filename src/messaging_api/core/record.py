"""How a message lies in a store: one value of bytes, the same in every store.

    offset 0   2 bytes   reads        how many readers it was posted for, 0 = any number
    offset 2   2 bytes   reads left   0 when reads is 0
    offset 4   8 bytes   expires at   ms since the epoch
    offset 12  …         box          sealed text; empty once the message was read out or burned

All integers big-endian. The server must know reads and expiry; both are bound to the box, so that a record that was
altered does not open. `stores/lua/take.lua` and `burn.lua` do to this value, inside Redis, what `after_read` and
`tombstone` do here; the store contract suite holds them together.
"""

import struct
from typing import Literal, NamedTuple

HEAD = 12
_head = struct.Struct(">HHQ")
_associated_data = struct.Struct(">HQ")
_NEAR = 60_000
"""ms by which the clocks of those who posted and those who clear away may differ."""

MessageState = Literal["available", "read", "burned"]


class StoredMessage(NamedTuple):
    """A message at rest. `reads` is None for any number of readers; `box` is empty once it is gone."""

    reads: int | None
    reads_left: int | None
    expires_at: int
    box: bytes

    @property
    def state(self) -> MessageState:
        """Read out and burned differ by the readers that were left."""
        if self.box:
            return "available"
        return "read" if self.reads_left == 0 else "burned"


def associated_data(reads: int | None, expires_at: int) -> bytes:
    """The bytes that are bound to a message's box."""
    return _associated_data.pack(reads or 0, expires_at)


def pack(reads: int | None, expires_at: int, box: bytes) -> bytes:
    """The value of a message that nobody has read yet."""
    return _head.pack(reads or 0, reads or 0, expires_at) + box


def unpack(value: bytes) -> StoredMessage:
    """What `pack` packed, after any number of `after_read` and `tombstone`."""
    reads, left, expires_at = _head.unpack_from(value)
    return (
        StoredMessage(reads, left, expires_at, value[HEAD:])
        if reads
        else StoredMessage(None, None, expires_at, value[HEAD:])
    )


def parse(value: bytes | None) -> StoredMessage | None:
    """What lies at a message's place; None for nothing, and for what is no message.

    Nothing takes as long as the trace of a message does, so that the time does not tell that there was one.
    """
    if value is None or len(value) < HEAD:
        unpack(_TOMBSTONE)
        return None
    return unpack(value)


_TOMBSTONE = pack(1, 0, b"")


def unread(value: bytes, gone_at: int) -> bool:
    """Whether a value that is cleared away at `gone_at` (ms) was a message for few, and not one of them came.

    What lies there may be a receipt or an answer: then these bytes are random, and no time near `gone_at`.
    """
    if len(value) <= HEAD:
        return False
    reads, left, expires_at = _head.unpack_from(value)
    return bool(reads) and reads == left and abs(expires_at - gone_at) < _NEAR


def after_read(value: bytes) -> bytes:
    """The value after one more read; without its box when that was the last. For a limited message that is there."""
    reads, left, expires_at = _head.unpack_from(value)
    return _head.pack(reads, left - 1, expires_at) + (value[HEAD:] if left > 1 else b"")


def tombstone(value: bytes) -> bytes:
    """The value of a burned message."""
    return value[:HEAD]
