"""End-to-end encryption, version 1. `docs/encryption.md` is the format, `tests/vectors/encryption.json` its examples.

An envelope is text, posted in place of the message; its key stands in the link behind the `#`, which no browser and no
client sends to the server:

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
"""Of PBKDF2-HMAC-SHA-256 (OWASP Password Storage Cheat Sheet, from 2023 on)."""
MAX_ITERATIONS = 10_000_000
"""More than this is not computed: an envelope must not be able to keep a reader busy for minutes."""

_WITH_PASSWORD = 1
_SECRET, _TAG = 32, 16
_head = struct.Struct(">BI16s12s")
_ASSOCIATED_BYTES = 21
"""Bytes of the head that are bound as associated data: all but the nonce, which the cipher takes itself."""
_BASE64URL = re.compile("[A-Za-z0-9_-]*")
_ANY_VERSION = re.compile(r"e2e[0-9]+\.")


@dataclass(frozen=True, slots=True)
class Key:
    """What a link holds behind its `#`: 32 random bytes, and whether the message takes a password too."""

    secret: bytes = field(repr=False)
    password: bool = False

    @classmethod
    def new(cls, *, password: bool) -> "Key":
        """A key nobody has yet, from the OS's CSPRNG."""
        return cls(os.urandom(_SECRET), password)

    @classmethod
    def parse(cls, fragment: str) -> "Key | None":
        """The key in a link's fragment; None for no fragment, which is the link of a plain message. Raises BadLink."""
        text = fragment.removesuffix(".p")
        if not fragment:
            return None
        try:
            secret = _unbase64(text)
        except ValueError:
            secret = b""
        if len(secret) != _SECRET:
            raise BadLink("The key in this link is damaged: was the link copied whole?")
        return cls(secret, text != fragment)

    @property
    def fragment(self) -> str:
        """What `parse` parses."""
        return _base64(self.secret) + (".p" if self.password else "")


def encrypt(text: str, key: Key, password: str | None = None) -> str:
    """The envelope of `text`. Give a password if and only if `key` says so: it takes 0.2 s, to slow down guessing.

    Raises ValueError for text or a password with lone surrogates, which UTF-8 does not have.
    """
    return _encrypt(text, key, password, ITERATIONS, os.urandom(28))


def _encrypt(text: str, key: Key, password: str | None, iterations: int, random: bytes) -> str:
    if key.password != bool(password):
        raise ValueError("a password goes with a key that says so, and is not empty")
    plain = pad(text.encode())
    flags, rounds = (_WITH_PASSWORD, iterations) if password else (0, 0)
    head = _head.pack(flags, rounds, random[:16], random[16:])
    cipher = AESGCM(_derive(key.secret, password, random[:16], iterations))
    return ENVELOPE_PREFIX + _base64(head + cipher.encrypt(random[16:], plain, _associated_data(head)))


def decrypt(envelope: str, key: Key | None, password: str | None = None) -> str:
    """The text in `envelope`. Without a key, what is no envelope is given as it is: a plain message.

    Raises NotAnEnvelope, UnknownVersion, KeyMissing, PasswordMissing, WrongPassword; each holds the envelope.
    """
    try:
        raw = _unpack(envelope)
    except NotAnEnvelope:
        if key is None:
            return envelope
        raise
    if key is None:
        raise KeyMissing("The message is encrypted, and the key is missing: the link's part from # on.", envelope)
    flags, iterations, salt, nonce = _head.unpack_from(raw)
    if flags and not password:
        raise PasswordMissing("The message takes a password.", envelope)
    if key.password and not flags:
        raise Damaged("The link asks for a password and the message does not: it is not the sender's.", envelope)
    cipher = AESGCM(_derive(key.secret, password if flags else None, salt, iterations))
    try:
        return _unpad(cipher.decrypt(nonce, raw[_head.size :], _associated_data(raw)))
    except (InvalidTag, ValueError):
        if flags:
            raise WrongPassword("The password is wrong, or the message is damaged.", envelope) from None
        raise Damaged("The message, or the key in its link, is damaged.", envelope) from None


def is_envelope(text: str) -> bool:
    """Whether `text` looks encrypted: by this version or by another one."""
    try:
        _unpack(text)
    except UnknownVersion:
        return True
    except NotAnEnvelope:
        return False
    return True


def longest(max_bytes: int) -> int:
    """The longest text, in bytes of UTF-8, whose envelope has at most `max_bytes`; 0 if there is none."""
    room = (max_bytes - len(ENVELOPE_PREFIX)) * 3 // 4 - _head.size - _TAG
    bucket = room // 4096 * 4096 or next((size for size in (2048, 1024, 512, 256) if size <= room), 1)
    return max(bucket - 1, 0)


def pad(plain: bytes) -> bytes:
    """`plain`, one byte 0x80, and zeros up to the next of 256, 512 … 4,096, 8,192, 12,288 … (ISO/IEC 7816-4)."""
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
        raise kind("The message is not encrypted in a way that this version knows.", envelope)
    try:
        raw = _unbase64(envelope.removeprefix(ENVELOPE_PREFIX))
    except ValueError:
        raw = b""
    if len(raw) <= _head.size + _TAG:
        raise NotAnEnvelope("The message is not the encrypted one that this link is for.", envelope)
    flags, iterations, _, _ = _head.unpack_from(raw)
    if flags & ~_WITH_PASSWORD:
        raise UnknownVersion("The message was encrypted by a newer version.", envelope)
    if not (ITERATIONS <= iterations <= MAX_ITERATIONS if flags else iterations == 0):
        raise NotAnEnvelope("The message is not encrypted as it should be.", envelope)
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
    """RFC 4648, section 5, without padding; nothing but its one way to write those bytes. Raises ValueError."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_")
    if _base64(raw) != text:
        raise binascii.Error
    return raw
