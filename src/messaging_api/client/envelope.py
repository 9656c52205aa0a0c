"""End-to-end encryption, version 1. `docs/encryption.md` defines it; `tests/vectors/encryption.json` has examples.

An envelope is text that is posted instead of the message. Its key is in the link after the `#`, a part that no browser
and no client sends to the server:

    link      <base>/msg/<uuid>#<secret>[.p]
    envelope  e2e1.<base64url of: flags, iterations, salt, nonce, ciphertext and tag>
"""

import base64
import binascii
import hashlib
import os
import re
import struct
import unicodedata
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from messaging_api.client.errors import (
    BadLink,
    Damaged,
    KeyMissing,
    NotAnEnvelope,
    PasswordMissing,
    UnknownVersion,
    WrongPassword,
)

ENVELOPE_PREFIX = "e2e1."
ITERATIONS = 600_000
"""Iterations of PBKDF2-HMAC-SHA-256 (OWASP Password Storage Cheat Sheet, since 2023)."""
MAX_ITERATIONS = 10_000_000
"""Upper limit for readers, so that an envelope cannot keep a reader busy for minutes."""

_WITH_PASSWORD = 1
_SECRET, _TAG = 32, 16
_head = struct.Struct(">BI16s12s")
_ASSOCIATED_BYTES = 21
"""Bytes of the head that are associated data: all but the nonce, which the cipher takes itself."""
_BASE64URL = re.compile("[A-Za-z0-9_-]*")
_ANY_VERSION = re.compile(r"e2e[0-9]+\.")


@dataclass(frozen=True, slots=True)
class Key:
    """The part of a link after its `#`: 32 random bytes, and whether the message also requires a password."""

    secret: bytes = field(repr=False)
    password: bool = False

    @classmethod
    def new(cls, *, password: bool) -> "Key":
        """Return a random key, from the CSPRNG of the operating system."""
        return cls(os.urandom(_SECRET), password)

    @classmethod
    def parse(cls, fragment: str) -> "Key | None":
        """Parse the fragment of a link. Return None if it is empty, as for a plain message. Raise BadLink."""
        text = fragment.removesuffix(".p")
        if not fragment:
            return None
        try:
            secret = _unbase64(text)
        except ValueError:
            secret = b""
        if len(secret) != _SECRET:
            raise BadLink("The key in this link is damaged. Was the whole link copied?", "altered")
        return cls(secret, text != fragment)

    @property
    def fragment(self) -> str:
        """The text that `parse` parses."""
        return _base64(self.secret) + (".p" if self.password else "")


def encrypt(text: str, key: Key, password: str | None = None) -> str:
    """Encrypt `text` and return its envelope. Pass a password if and only if `key.password` is set.

    A password takes about 0.2 s of computation, to slow down guessing. Raise ValueError if a password is missing or
    superfluous, or if the text or password contains lone surrogates, which UTF-8 cannot encode.
    """
    return _encrypt(text, key, password, ITERATIONS, os.urandom(28))


def _encrypt(text: str, key: Key, password: str | None, iterations: int, random: bytes) -> str:
    if key.password != bool(password):
        raise ValueError("a password is required if and only if key.password is set, and must not be empty")
    plain = pad(text.encode())
    flags, rounds = (_WITH_PASSWORD, iterations) if password else (0, 0)
    head = _head.pack(flags, rounds, random[:16], random[16:])
    cipher = AESGCM(_derive(key.secret, password, random[:16], iterations))
    return ENVELOPE_PREFIX + _base64(head + cipher.encrypt(random[16:], plain, _associated_data(head)))


def decrypt(envelope: str, key: Key | None, password: str | None = None) -> str:
    """Decrypt `envelope` and return its text. If there is no key and no envelope, return the plain message as it is.

    Raise NotAnEnvelope, UnknownVersion, KeyMissing, PasswordMissing or WrongPassword; each contains the envelope.
    """
    try:
        raw = _unpack(envelope)
    except NotAnEnvelope:
        if key is None:
            return envelope
        raise
    if key is None:
        raise KeyMissing("The message is encrypted, and its key is missing: the part of the link from # on.", envelope)
    flags, iterations, salt, nonce = _head.unpack_from(raw)
    if flags and not password:
        raise PasswordMissing("The message requires a password.", envelope)
    if key.password and not flags:
        raise Damaged("The link requires a password, but the message does not: it is not the original.", envelope)
    cipher = AESGCM(_derive(key.secret, password if flags else None, salt, iterations))
    try:
        return _unpad(cipher.decrypt(nonce, raw[_head.size :], _associated_data(raw)))
    except (InvalidTag, ValueError):
        if flags:
            raise WrongPassword("The password is wrong, or the message is damaged.", envelope) from None
        raise Damaged("The message or the key in its link is damaged.", envelope) from None


def is_envelope(text: str) -> bool:
    """Return whether `text` looks like an envelope, of this version or another one."""
    try:
        _unpack(text)
    except UnknownVersion:
        return True
    except NotAnEnvelope:
        return False
    return True


def max_text_bytes(max_bytes: int) -> int:
    """Return the bytes of the longest text in UTF-8 whose envelope has at most `max_bytes`, or 0 if there is none."""
    available = (max_bytes - len(ENVELOPE_PREFIX)) * 3 // 4 - _head.size - _TAG
    bucket = available // 4096 * 4096 or next((size for size in (2048, 1024, 512, 256) if size <= available), 1)
    return max(bucket - 1, 0)


def pad(plain: bytes) -> bytes:
    """Append a byte 0x80, then zeros up to the next of 256, 512 … 4,096, 8,192, 12,288 … bytes (ISO/IEC 7816-4)."""
    least = len(plain) + 1
    bucket = max(256, 1 << (least - 1).bit_length()) if least <= 4096 else -(-least // 4096) * 4096
    return (plain + b"\x80").ljust(bucket, b"\0")


def _unpad(padded: bytes) -> str:
    plain = padded.rstrip(b"\0")
    if not plain.endswith(b"\x80"):
        raise ValueError
    return plain[:-1].decode()


def _unpack(envelope: str) -> bytes:
    if not envelope.startswith(ENVELOPE_PREFIX):
        kind = UnknownVersion if _ANY_VERSION.match(envelope) else NotAnEnvelope
        raise kind("The message is not encrypted in a format that this version knows.", envelope)
    try:
        raw = _unbase64(envelope.removeprefix(ENVELOPE_PREFIX))
    except ValueError:
        raw = b""
    if len(raw) <= _head.size + _TAG:
        raise NotAnEnvelope("This link is for an encrypted message, but the message is not encrypted.", envelope)
    flags, iterations, _, _ = _head.unpack_from(raw)
    if flags & ~_WITH_PASSWORD:
        raise UnknownVersion("The message was encrypted by a newer version.", envelope)
    if not (ITERATIONS <= iterations <= MAX_ITERATIONS if flags else iterations == 0):
        raise NotAnEnvelope("The message is not properly encrypted.", envelope)
    return raw


def _associated_data(raw: bytes) -> bytes:
    return ENVELOPE_PREFIX.encode() + raw[:_ASSOCIATED_BYTES]


def _derive(secret: bytes, password: str | None, salt: bytes, iterations: int) -> bytes:
    if password:
        plain = unicodedata.normalize("NFC", password).encode()
        secret += hashlib.pbkdf2_hmac("sha256", plain, salt, iterations, 32)
    return HKDF(SHA256(), 32, salt, b"messaging_api e2e 1").derive(secret)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    """Decode base64url (RFC 4648, section 5) without padding. Raise ValueError for any non-canonical encoding."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_")
    if _base64(raw) != text:
        raise binascii.Error
    return raw
