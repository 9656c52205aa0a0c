"""What the client gives. Links and texts do not show in repr, so that they do not end up in logs."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ReceiptState = Literal["available", "read", "burned", "expired"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was kept. `link` is for its readers, `receipt` for its sender alone; `reads` None: any number."""

    link: str = field(repr=False)
    receipt: str = field(repr=False)
    expires_at: datetime
    reads: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was read; `reads_left` after this read, None for any number."""

    text: str = field(repr=False)
    expires_at: datetime
    reads_left: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message."""

    state: ReceiptState
    expires_at: datetime
    reads: int | None
    reads_left: int | None


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a service accepts: bytes of UTF-8 as posted, seconds of life, readers."""

    max_message_bytes: int
    max_ttl: int
    default_ttl: int
    max_reads: int
