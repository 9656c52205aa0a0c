"""The record of a post with an Idempotency-Key: its result, which opens only for the same request of the same client.

    offset 0   4 bytes   size of the message's text in bytes, big-endian
    offset 4   …         box: message id, receipt id, reads, expiry

The locator follows from the idempotency key and its scope, the key of the box from these and the whole request. So a
different request finds a box that does not open, and nothing else of a request is stored to compare with.
`docs/adr/0004-idempotency.md` and `docs/adr/0023-idempotency-scope.md` explain why.
"""

import struct
from hashlib import blake2b
from typing import NamedTuple

from messaging_api.core.message import Draft
from messaging_api.core.sealing import IDEMPOTENCY, DecryptionError, derive, seal, unseal
from messaging_api.core.store import Entry
from messaging_api.errors import IdempotencyConflict

IDEMPOTENCY_TTL_MS = 24 * 3600 * 1000
"""How long an idempotency key is remembered, in ms."""

_SIZE = 4
_result = struct.Struct(">16s16sHQ")


class IdempotencyKey(NamedTuple):
    """The key of a request that may be repeated, without NUL. `scope` names the client, whose keys are its own."""

    value: bytes
    scope: bytes


class PostResult(NamedTuple):
    """The result of a post: both ids, the reads (0 = unlimited) and the expiry in ms since the epoch."""

    message_id: bytes
    receipt_id: bytes
    reads: int
    expires_at: int


def locator_of(key: IdempotencyKey) -> bytes:
    """Return the locator of the record of `key`."""
    return derive(b"\0".join(key), IDEMPOTENCY).locator


def seal_result(draft: Draft, key: IdempotencyKey, result: PostResult) -> Entry:
    """Return the record that says that `draft` was posted with `key`."""
    size = len(draft.text).to_bytes(_SIZE, "big")
    return Entry(locator_of(key), size + seal(_box_key(draft, key), _result.pack(*result), size), IDEMPOTENCY_TTL_MS)


def open_result(draft: Draft, key: IdempotencyKey, value: bytes) -> PostResult:
    """Return the result of the post of `draft` with `key`. Raises IdempotencyConflict if it was another request."""
    try:
        plain = unseal(_box_key(draft, key), value[_SIZE:], value[:_SIZE])
    except DecryptionError:
        raise IdempotencyConflict from None
    return PostResult(*_result.unpack(plain))


def message_size(value: bytes) -> int:
    """Return the size of the text that was posted, in bytes."""
    return int.from_bytes(value[:_SIZE], "big")


def _box_key(draft: Draft, key: IdempotencyKey) -> bytes:
    fingerprint = blake2b(repr((*key, *draft)).encode(), digest_size=32).digest()
    return derive(fingerprint, IDEMPOTENCY).key
