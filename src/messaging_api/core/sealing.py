"""Sealed by the link: from a secret come the place where a record lies and the key that opens it.

The secret is the 16 bytes of an id, or an idempotency key. One BLAKE2b (RFC 7693), personalised by purpose as
libsodium's crypto_kdf does, gives 48 bytes: a *locator* of 16, which the store sees, and a *key* of 32, which it
never does. Records are sealed with AES-256-GCM (NIST SP 800-38D); a box is nonce (12 bytes), ciphertext, tag (16).
Whoever holds the store without the link holds locators and boxes, and neither leads back to the secret.
"""

import os
from hashlib import blake2b
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


def _purpose(person: bytes) -> "blake2b":
    """A hash that is set up for a purpose: copying it costs half as much as setting it up again."""
    return blake2b(digest_size=48, person=person)


MESSAGE = _purpose(b"msgapi/message/1")
RECEIPT = _purpose(b"msgapi/receipt/1")
IDEMPOTENCY = _purpose(b"msgapi/answer/01")


class Keyring(NamedTuple):
    """Where a record lies (16 bytes) and what opens it (32 bytes)."""

    locator: bytes
    key: bytes


class DecryptionError(Exception):
    """The box does not open with this key and this associated data: another key, or an altered record."""


def derive(secret: bytes, purpose: "blake2b") -> Keyring:
    """The locator and key that `secret` has for `purpose` (one of the three above)."""
    hasher = purpose.copy()
    hasher.update(secret)
    digest = hasher.digest()
    return Keyring(digest[:16], digest[16:])


def seal(key: bytes, plain: bytes, associated_data: bytes) -> bytes:
    """A box of `plain`; `associated_data` is not hidden, but the box opens only together with it."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, associated_data)


def unseal(key: bytes, box: bytes, associated_data: bytes) -> bytes:
    """What was sealed. Raises DecryptionError."""
    try:
        return AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], associated_data)
    except (InvalidTag, ValueError):
        raise DecryptionError from None
