"""The record of a message: one value of bytes, with the same layout in every store.

    offset 0   2 bytes   reads        number of reads it was posted with, 0 = unlimited
    offset 2   2 bytes   reads left   0 when reads is 0
    offset 4   8 bytes   expires at   ms since the epoch
    offset 12  …         box          sealed text; empty after the last read or a burn (a tombstone)

All integers are big-endian. `pack` makes a record, `unpack` and `parse` take it apart, `after_read` and `tombstone`
change it. `resume_record` makes the record that a reader can repeat its read with; it has the same layout. The server
must know reads and expiry; both are associated data of the box, so that an altered record does not open. The scripts
`stores/redis/lua/*.lua` do inside Redis what `after_read`, `tombstone` and `resume_record` do here; the contract suite
of the stores checks that they agree.
"""

import struct
from typing import Literal, NamedTuple

HEAD = 12
_head = struct.Struct(">HHQ")
_associated_data = struct.Struct(">HQ")
_MAX_CLOCK_SKEW = 60_000
"""Maximum difference, in ms, between the clocks of the process that posted and the process that sweeps."""

MessageState = Literal["available", "read", "burned"]


class StoredMessage(NamedTuple):
    """A message in a store. `reads` is None for unlimited reads; `box` is empty in a tombstone."""

    reads: int | None
    reads_left: int | None
    expires_at: int
    box: bytes

    @property
    def state(self) -> MessageState:
        """Tell whether the message was read out or burned: a burned one had reads left."""
        if self.box:
            return "available"
        return "read" if self.reads_left == 0 else "burned"


_new = tuple.__new__
"""Makes a named tuple in a third of the time that its class takes."""


def associated_data(reads: int | None, expires_at: int) -> bytes:
    """Return the associated data of a message's box (AEAD, RFC 5116)."""
    return _associated_data.pack(reads or 0, expires_at)


def pack(reads: int | None, expires_at: int, box: bytes) -> bytes:
    """Return the record of a message without any reads yet."""
    return _head.pack(reads or 0, reads or 0, expires_at) + box


def unpack(value: bytes) -> StoredMessage:
    """Take a record apart: one from `pack`, perhaps changed by `after_read` or `tombstone`."""
    reads, left, expires_at = _head.unpack_from(value)
    return _new(
        StoredMessage, (reads, left, expires_at, value[HEAD:]) if reads else (None, None, expires_at, value[HEAD:])
    )


def parse(value: bytes | None) -> StoredMessage | None:
    """Return the message of a record; None if absent or malformed.

    An absent record takes as long as a tombstone, so that the time does not reveal that a message existed.
    """
    if value is None or len(value) < HEAD:
        unpack(_TOMBSTONE)
        return None
    return unpack(value)


_TOMBSTONE = pack(1, 0, b"")


def unread(value: bytes, gone_at: int) -> bool:
    """Tell whether a value removed at `gone_at` (ms since the epoch) was a message with limited reads and no read.

    The value may also be a receipt or an idempotency record: then these bytes are random, and no time near `gone_at`.
    """
    if len(value) <= HEAD:
        return False
    reads, left, expires_at = _head.unpack_from(value)
    return bool(reads) and reads == left and abs(expires_at - gone_at) < _MAX_CLOCK_SKEW


def after_read(value: bytes) -> bytes:
    """Return the record after one more read, without its box if that was the last.

    The record must be a message with limited reads, not a tombstone.
    """
    reads, left, expires_at = _head.unpack_from(value)
    return _head.pack(reads, left - 1, expires_at) + (value[HEAD:] if left > 1 else b"")


def tombstone(value: bytes) -> bytes:
    """Return the record of a burned message: its head, without the box."""
    return value[:HEAD]


def resume_record(value: bytes, box: bytes) -> bytes:
    """Return the resume record of a reader: the head of the message as it was before the read, and a box of its own."""
    return value[:HEAD] + box
