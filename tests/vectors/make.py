"""Write `encryption.json` by a second implementation of docs/encryption.md, which shares no code with the client.

`python -m tests.vectors.make`; a test holds the file to what this gives.
"""

import base64
import hashlib
import hmac
import json
import unicodedata
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FILE = Path(__file__).with_name("encryption.json")
E_ACUTE, E_AND_ACUTE = "\u00e9", "e\u0301"
GOOD: list[tuple[str, str | None, str]] = [
    ("no password", None, "Meet me at noon."),
    ("a password", "correct horse battery staple", "Meet me at noon."),
    ("one byte", None, "x"),
    ("text beyond ASCII", None, "Grüße, 你好, مرحبا, 👩\u200d🚀\u0000 and \r\n line ends\n"),
    ("password beyond ASCII, composed", f"Caf{E_ACUTE} 🔑", "NFC and NFD of a password are one."),
    ("password beyond ASCII, decomposed", f"Caf{E_AND_ACUTE} 🔑", "NFC and NFD of a password are one."),
    ("text is not normalised", None, f"{E_ACUTE} is not {E_AND_ACUTE}"),
    ("byte order mark stays", None, "\ufeffx"),
    ("text that looks padded", None, "x\u0080\u0000\u0000"),
    ("text that looks like an envelope", None, "e2e1.AAAA"),
    ("spaces around a password count", " x ", "Nothing is trimmed."),
    ("255 bytes fill the first bucket", None, "a" * 255),
    ("256 bytes take the second", None, "a" * 256),
    ("4095 bytes fill the last that doubles", None, "a" * 4095),
    ("4096 bytes take the next 4096", None, "a" * 4096),
    ("8191 bytes", None, "a" * 8191),
    ("8192 bytes", "x", "a" * 8192),
]


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return base64.b64encode(raw, b"-_").decode().rstrip("=")


def seeded(name: str, length: int) -> bytes:
    """Bytes that are the same on every run."""
    return hashlib.shake_256(name.encode()).digest(length)


def hkdf(ikm: bytes, salt: bytes) -> bytes:
    """RFC 5869 for one block of output."""
    extracted = hmac.digest(salt, ikm, "sha256")
    return hmac.digest(extracted, b"messaging_api e2e 1" + b"\x01", "sha256")


def envelope(secret: bytes, password: str | None, salt: bytes, nonce: bytes, padded: bytes, **odd: int) -> str:
    """The format, step by step; `odd` makes it break a rule."""
    flags = odd.get("flags", 0 if password is None else 1)
    iterations = odd.get("iterations", 0 if password is None else 600_000)
    head = bytes([flags]) + iterations.to_bytes(4, "big") + salt
    ikm = secret
    if password is not None:
        normal = unicodedata.normalize("NFC", password).encode()
        ikm += hashlib.pbkdf2_hmac("sha256", normal, salt, min(iterations, 10_000_000), 32)
    box = AESGCM(hkdf(ikm, salt)).encrypt(nonce, padded, b"e2e1." + head)
    return "e2e1." + b64(head + nonce + box)


def padded(text: bytes) -> bytes:
    """ISO/IEC 7816-4 up to the bucket."""
    buckets = [256, 512, 1024, 2048, *range(4096, 65_536, 4096)]
    bucket = next(size for size in buckets if size > len(text))
    return text + b"\x80" + bytes(bucket - len(text) - 1)


def good(name: str, password: str | None, text: str) -> dict[str, Any]:
    """An envelope that opens. Both forms of one password share their random parts, so that they share the envelope."""
    seed = name.partition(",")[0]
    secret, salt, nonce = seeded(seed + "/secret", 32), seeded(seed + "/salt", 16), seeded(seed + "/nonce", 12)
    return {
        "name": name,
        "fragment": b64(secret) + ("" if password is None else ".p"),
        "secret": b64(secret),
        "password": password,
        "salt": b64(salt),
        "nonce": b64(nonce),
        "iterations": 0 if password is None else 600_000,
        "text": text,
        "envelope": envelope(secret, password, salt, nonce, padded(text.encode())),
    }


def broken() -> list[dict[str, Any]]:
    """What does not open, and why."""
    secret, salt, nonce = seeded("secret", 32), seeded("salt", 16), seeded("nonce", 12)
    key, text = b64(secret), padded(b"Meet me at noon.")
    plain = envelope(secret, None, salt, nonce, text)
    locked = envelope(secret, "right", salt, nonce, text)
    raw = base64.b64decode(plain[5:] + "==", b"-_")
    last = plain[:-1] + chr(ord(plain[-1]) + 1)  # 305 bytes leave two unused bits in the last digit
    assert len(raw) == 305

    def flipped(offset: int) -> str:
        return "e2e1." + b64(raw[:offset] + bytes([raw[offset] ^ 1]) + raw[offset + 1 :])

    cases: list[tuple[str, str, str | None, str, str]] = [
        ("a plain message where an envelope belongs", key, None, "hello", "not-an-envelope"),
        ("nothing", key, None, "", "not-an-envelope"),
        ("the prefix alone", key, None, "e2e1.", "not-an-envelope"),
        ("upper case prefix", key, None, "E2E1." + plain[5:], "not-an-envelope"),
        ("a space before", key, None, " " + plain, "not-an-envelope"),
        ("a line end behind", key, None, plain + "\n", "not-an-envelope"),
        ("padding characters of base64", key, None, plain + "=", "not-an-envelope"),
        ("the other alphabet of base64", key, None, plain[:60] + "+/" + plain[62:], "not-an-envelope"),
        ("bits that belong to no byte", key, None, last, "not-an-envelope"),
        ("one digit too many", key, None, plain + "AA", "not-an-envelope"),
        ("head and tag, and no text", key, None, "e2e1." + b64(raw[:49]), "not-an-envelope"),
        ("iterations without a password", key, None,
         envelope(secret, None, salt, nonce, text, iterations=600_000), "not-an-envelope"),
        ("too few iterations", key + ".p", "right",
         envelope(secret, "right", salt, nonce, text, iterations=599_999), "not-an-envelope"),
        ("too many iterations", key + ".p", "right",
         "e2e1." + b64(b"\x01" + (10_000_001).to_bytes(4, "big") + raw[5:]), "not-an-envelope"),
        ("a flag of the future", key, None, envelope(secret, None, salt, nonce, text, flags=2), "unknown-version"),
        ("a version of the future", key, None, "e2e2." + plain[5:], "unknown-version"),
        ("a version of the far future", key, None, "e2e10.x", "unknown-version"),
        ("no key in the link", "", None, plain, "key-missing"),
        ("no key in the link, and a password", "", "right", locked, "key-missing"),
        ("a key that is too short", key[:-1], None, plain, "bad-link"),
        ("a key that is too long", key + "A", None, plain, "bad-link"),
        ("bits of the key that belong to no byte", key[:-1] + chr(ord(key[-1]) + 1), None, plain, "bad-link"),
        ("something behind the key", key + ".q", None, plain, "bad-link"),
        ("no key before the mark", ".p", "right", locked, "bad-link"),
        ("a password is needed", key + ".p", None, locked, "password-missing"),
        ("the mark was cut off", key, None, locked, "password-missing"),
        ("wrong password", key + ".p", "wrong", locked, "wrong-password"),
        ("case of a password counts", key + ".p", "Right", locked, "wrong-password"),
        ("a space behind a password counts", key + ".p", "right ", locked, "wrong-password"),
        ("the link asks for a password, the envelope does not", key + ".p", "right", plain, "wrong-password"),
        ("another key", b64(seeded("another", 32)), None, plain, "wrong-password"),
        ("flag turned off", key, None,
         "e2e1." + b64(bytes(5) + base64.b64decode(locked[5:] + "==", b"-_")[5:]), "wrong-password"),
        ("salt damaged", key, None, flipped(5), "wrong-password"),
        ("nonce damaged", key, None, flipped(21), "wrong-password"),
        ("ciphertext damaged", key, None, flipped(33), "wrong-password"),
        ("tag damaged", key, None, flipped(304), "wrong-password"),
        ("end cut off", key, None, "e2e1." + b64(raw[:-1]), "wrong-password"),
        ("padding without its mark", key, None,
         envelope(secret, None, salt, nonce, bytes(256)), "wrong-password"),
        ("padding that ends in something else", key, None,
         envelope(secret, None, salt, nonce, b"x" * 256), "wrong-password"),
        ("text that is not UTF-8", key, None,
         envelope(secret, None, salt, nonce, padded(b"\xff")), "wrong-password"),
        ("half a surrogate pair", key, None,
         envelope(secret, None, salt, nonce, padded(b"\xed\xa0\x80")), "wrong-password"),
    ]  # fmt: skip
    return [
        {"name": name, "fragment": fragment, "password": password, "envelope": sealed, "error": error}
        for name, fragment, password, sealed, error in cases
    ]


def vectors() -> dict[str, Any]:
    """All of them."""
    return {"good": [good(*case) for case in GOOD], "broken": broken()}


def text() -> str:
    """The file's text."""
    return json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
