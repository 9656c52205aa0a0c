"""The end-to-end format: its written examples, and properties over any text and password."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging_api.client import envelope, errors
from messaging_api.client.envelope import Key, decrypt, encrypt, is_envelope, max_text_bytes, pad
from tests.vectors import make

VECTORS = json.loads(make.FILE.read_text())
ERRORS = {
    "bad-link": errors.BadLink,
    "not-an-envelope": errors.NotAnEnvelope,
    "unknown-version": errors.UnknownVersion,
    "key-missing": errors.KeyMissing,
    "password-missing": errors.PasswordMissing,
    "wrong-password": errors.WrongPassword,
}
TEXT = st.text(st.characters(codec="utf-8"))
PASSWORD = st.text(st.characters(codec="utf-8"), min_size=1)
KEY = Key(bytes(range(32)))
LOCKED = Key(bytes(range(32)), password=True)


def named(cases: list[dict[str, Any]]) -> Any:
    """One test a case, with the case's name."""
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds of PBKDF2: hypothesis asks for many envelopes."""
    monkeypatch.setattr(envelope, "ITERATIONS", 1)


def test_the_vectors_are_what_the_format_says() -> None:
    """A second implementation, which shares no code with ours, gives the same file."""
    assert make.FILE.read_text() == make.text()


def test_every_way_to_fail_has_its_example() -> None:
    """No error of the format is left without a vector."""
    assert {case["error"] for case in VECTORS["broken"]} == set(ERRORS)
    assert {*errors.DecryptionFailed.__subclasses__(), errors.BadLink} == set(ERRORS.values())


@named(VECTORS["good"])
def test_vectors_open(case: dict[str, Any]) -> None:
    """Each written envelope opens to its text, and from its random parts comes the same envelope."""
    key = Key.parse(case["fragment"])
    assert key is not None
    assert key.fragment == case["fragment"]
    assert decrypt(case["envelope"], key, case["password"]) == case["text"]
    random = envelope._unbase64(case["salt"]) + envelope._unbase64(case["nonce"])
    assert envelope._encrypt(case["text"], key, case["password"], 600_000, random) == case["envelope"]


@named(VECTORS["broken"])
def test_vectors_that_do_not_open(case: dict[str, Any]) -> None:
    """Each broken envelope or link is told with its own error, which holds what came and tells nothing of it."""

    def attempt() -> str:
        return decrypt(case["envelope"], Key.parse(case["fragment"]), case["password"])

    with pytest.raises(ERRORS[case["error"]]) as caught:
        attempt()
    if isinstance(caught.value, errors.DecryptionFailed):
        assert caught.value.envelope == case["envelope"]
    assert not {case["envelope"], case["fragment"], case["password"]} - {"", None} & set(str(caught.value).split())


@given(TEXT)
def test_any_text_comes_back(text: str) -> None:
    """What is encrypted opens with its key alone; the envelope is never the same twice and hides the exact length."""
    key = Key.new(password=False)
    sealed = encrypt(text, key)
    assert decrypt(sealed, key) == text
    assert sealed != encrypt(text, key)
    assert len(sealed) == len(encrypt("x" * (len(pad(text.encode())) - 1), key))
    with pytest.raises(errors.WrongPassword):
        decrypt(sealed, Key.new(password=False))


@given(TEXT, PASSWORD)
def test_any_password_opens(text: str, password: str) -> None:
    """The password opens it in any form Unicode holds for equal; another one, or none, does not."""
    with pytest.MonkeyPatch.context() as patch:
        rounds(patch)
        sealed = encrypt(text, LOCKED, password)
        assert decrypt(sealed, LOCKED, unicodedata.normalize("NFD", password)) == text
        assert decrypt(sealed, KEY, password) == text
        with pytest.raises(errors.WrongPassword):
            decrypt(sealed, LOCKED, password + "x")
        with pytest.raises(errors.PasswordMissing):
            decrypt(sealed, LOCKED)


def test_every_bit_of_the_head_counts() -> None:
    """An envelope with any one bit of its head turned does not open."""
    raw = envelope._unbase64(encrypt("hello", KEY).removeprefix("e2e1."))
    for bit in range(envelope._head.size * 8):
        with pytest.raises(errors.DecryptionFailed):
            decrypt(turned(raw, bit), KEY, "x")


@settings(max_examples=300)
@given(st.integers(33 * 8, (33 + 256 + 16) * 8 - 1))
def test_every_bit_of_the_rest_counts(bit: int) -> None:
    """Nor with one of its ciphertext or tag."""
    raw = envelope._unbase64(encrypt("hello", KEY).removeprefix("e2e1."))
    with pytest.raises(errors.WrongPassword):
        decrypt(turned(raw, bit), KEY)


def turned(raw: bytes, bit: int) -> str:
    """The envelope with one bit turned."""
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return "e2e1." + envelope._base64(bytes(changed))


@given(st.text() | st.text("e2.1AQ_-").map("e2e1.".__add__) | st.binary(max_size=80).map(envelope._base64))
def test_whatever_comes_is_told(text: str) -> None:
    """No text whatever makes the reader fail in a way that is not one of the errors; without a key it may be plain."""
    with pytest.raises(errors.DecryptionFailed):
        decrypt(text, KEY)
    if is_envelope(text):
        with pytest.raises((errors.KeyMissing, errors.UnknownVersion)):
            decrypt(text, None)
    else:
        assert decrypt(text, None) == text


@given(st.text())
def test_whatever_stands_behind_the_mark(fragment: str) -> None:
    """A fragment is a key, nothing, or told before anything is asked."""
    try:
        key = Key.parse(fragment)
    except errors.BadLink:
        return
    assert key is None
    assert fragment == ""


@given(secret=st.binary(min_size=32, max_size=32), password=st.booleans())
def test_keys_survive_being_sent(*, secret: bytes, password: bool) -> None:
    """A key is read as it is written, ends in a letter or digit (programs cut other marks off), and hides in repr."""
    key = Key(secret, password)
    assert Key.parse(key.fragment) == key
    assert key.fragment[-1].isalnum()
    assert repr(key) == f"Key(password={password})"


@pytest.mark.parametrize("limit", [1, 411, 412, 413, 1000, 4096, 10_000, 65_536, 1 << 24])
def test_the_longest_text(limit: int) -> None:
    """The longest text is that whose envelope fits, and one byte more does not."""
    most = max_text_bytes(limit)
    if most:
        assert len(encrypt("x" * most, KEY)) <= limit
    assert len(encrypt("x" * (most + 1), KEY)) > limit


def test_sizes() -> None:
    """The sizes that the document names."""
    assert [len(pad(b"x" * size)) for size in (0, 255, 256, 2047, 2048, 4095, 4096, 8192)] == [
        256, 256, 512, 2048, 4096, 4096, 8192, 12_288,
    ]  # fmt: skip
    assert max_text_bytes(65_536) == 45_055


def test_misuse_is_an_error() -> None:
    """A key that asks for a password, and none; an empty one; text that UTF-8 does not have."""
    for key, password in ((LOCKED, None), (LOCKED, ""), (KEY, "x")):
        with pytest.raises(ValueError, match="a password is required if and only if"):
            encrypt("x", key, password)
    with pytest.raises(UnicodeEncodeError):
        encrypt("\ud800", KEY)
