"""Messages: their ids, size, lifetime and reads. Pure: no clock, no store, no HTTP."""

import os
import re
from dataclasses import dataclass
from typing import NamedTuple

from messaging_api.errors import InvalidRequest, MessageTooLarge

MAX_READS = 1000
MIN_TTL = 1
RECEIPT_EXTRA_MS = 24 * 3600 * 1000
"""How long, in ms, a receipt outlives its message."""
TOMBSTONE_EXTRA_MS = RECEIPT_EXTRA_MS + 3600 * 1000
"""How long, in ms, the tombstone of a message that was read out or burned outlives the message: longer than its receipt
does, so that no receipt forgets what it told."""


class Draft(NamedTuple):
    """A message as its sender requests it.

    `text` is UTF-8. `ttl` is in seconds, `expires_at` in ms since the epoch; at most one of them is set. `reads` is the
    number of reads, None = unlimited until expiry.
    """

    text: bytes
    ttl: int | None = None
    expires_at: int | None = None
    reads: int | None = None


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The limits of this service: bytes of UTF-8 in a message, seconds of lifetime.

    `resume_seconds` is how long a reader can repeat a read with its key, 0 = not at all.
    """

    max_bytes: int = 65_536
    max_ttl: int = 604_800
    default_ttl: int = 604_800
    resume_seconds: int = 60

    def check(self, draft: Draft, now: int) -> int:
        """Return when `draft` expires, in ms since the epoch, if it is posted at `now` (same unit).

        Raises InvalidRequest or MessageTooLarge with a text that says what to correct.
        """
        if not draft.text:
            raise InvalidRequest("The message is empty.")
        if len(draft.text) > self.max_bytes:
            raise MessageTooLarge(self.max_bytes)
        if draft.reads is not None and not 1 <= draft.reads <= MAX_READS:
            raise InvalidRequest(f"reads must be a whole number from 1 to {MAX_READS}.")
        if draft.expires_at is None:
            return now + 1000 * self._lifetime(draft.ttl)
        if draft.ttl is not None:
            raise InvalidRequest("Give ttl or expires_at, not both.")
        if not MIN_TTL * 1000 <= draft.expires_at - now <= self.max_ttl * 1000:
            raise InvalidRequest(f"expires_at must be {MIN_TTL} to {self.max_ttl} seconds in the future.")
        return draft.expires_at

    def _lifetime(self, ttl: int | None) -> int:
        if ttl is None:
            return self.default_ttl
        if not MIN_TTL <= ttl <= self.max_ttl:
            raise InvalidRequest(f"ttl must be a whole number of seconds from {MIN_TTL} to {self.max_ttl}.")
        return ttl


def new_id() -> bytes:
    """Return the 16 bytes of a UUID version 4 (RFC 9562, section 5.4): 122 bits from the OS's CSPRNG."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def format_id(raw: bytes) -> str:
    """Return the text form of an id, in lower case (RFC 9562, section 4)."""
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def parse_id(text: str) -> bytes | None:
    """Parse the text form of a UUID version 4, in either case, to 16 bytes; return None for anything else."""
    return bytes.fromhex(text.replace("-", "")) if _ID.fullmatch(text) else None
