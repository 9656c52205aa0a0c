"""The values that the client takes and returns. Links and texts are hidden in repr, to keep them out of logs."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from messaging_api.client.durations import seconds_of

ReceiptState = Literal["available", "read", "burned", "expired"]


class MessageDraft(msgspec.Struct, omit_defaults=True, frozen=True):
    """A message to create, as in the body of POST /. `ttl` is in seconds."""

    message: str
    ttl: int | None = None
    expires_at: datetime | None = None
    reads: int | None = None

    def __repr__(self) -> str:
        """Hide the text, so that it does not end up in logs."""
        return "MessageDraft(…)"


def make_draft(
    text: str, ttl: int | timedelta | str | None, expires_at: datetime | None, reads: int | None
) -> MessageDraft:
    """Check the arguments of `send`. Raise TypeError or ValueError, whose text does not contain a value."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    if not text:
        raise ValueError("text must not be empty")
    if expires_at is not None and not isinstance(expires_at, datetime):
        raise TypeError(f"expires_at must be a datetime, not {type(expires_at).__name__}")
    if expires_at is not None and expires_at.utcoffset() is None:
        raise ValueError("expires_at must have a time zone")
    if reads is not None and (isinstance(reads, bool) or not isinstance(reads, int)):
        raise TypeError(f"reads must be an int, not {type(reads).__name__}")
    return MessageDraft(text, None if ttl is None else seconds_of(ttl), expires_at, reads)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was created. Pass `link` to its readers and keep `receipt`. `reads` is None if unlimited."""

    link: str = field(repr=False)
    receipt: str = field(repr=False)
    expires_at: datetime
    reads: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was read. `reads_left` counts the reads left after this one, and is None if unlimited."""

    text: str = field(repr=False)
    expires_at: datetime
    reads_left: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The state of a message. `reads` is the number it was created with; both numbers are None if unlimited."""

    state: ReceiptState
    expires_at: datetime
    reads: int | None
    reads_left: int | None


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a server accepts: bytes of UTF-8 in the message as it is posted, lifetimes in seconds, number of reads.

    `resume_seconds` is how long a read can be repeated with the same key, 0 if the server does not know that.
    """

    max_message_bytes: int
    max_ttl: int
    default_ttl: int
    max_reads: int
    resume_seconds: int = 0
