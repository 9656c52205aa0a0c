"""The end-to-end format: its test vectors, and properties of any text and password."""

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


def parametrize_cases(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """Make one test of each case, with the name of the case."""
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def use_one_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one iteration of PBKDF2, because hypothesis makes many envelopes."""
    monkeypatch.setattr(envelope, "ITERATIONS", 1)


def test_vectors_match_a_second_implementation() -> None:
    """A second implementation, which shares no code with this one, makes the same file."""
    assert make.FILE.read_text() == make.text()


def test_every_error_has_a_vector() -> None:
    """Each error of the format has a test vector."""
    assert {case["error"] for case in VECTORS["broken"]} == set(ERRORS)
    assert {*errors.DecryptionFailed.__subclasses__(), errors.BadLink} == set(ERRORS.values())


@parametrize_cases(VECTORS["good"])
def test_good_vectors_decrypt(case: dict[str, Any]) -> None:
    """Each envelope decrypts to its text, and encrypting with its salt and nonce makes the same envelope."""
    key = Key.parse(case["fragment"])
    assert key is not None
    assert key.fragment == case["fragment"]
    assert decrypt(case["envelope"], key, case["password"]) == case["text"]
    random = envelope._unbase64(case["salt"]) + envelope._unbase64(case["nonce"])
    assert envelope._encrypt(case["text"], key, case["password"], 600_000, random) == case["envelope"]


@parametrize_cases(VECTORS["broken"])
def test_broken_vectors_raise_their_errors(case: dict[str, Any]) -> None:
    """Each broken envelope or link raises its error, which contains the envelope but does not show it."""

    def attempt() -> str:
        return decrypt(case["envelope"], Key.parse(case["fragment"]), case["password"])

    with pytest.raises(ERRORS[case["error"]]) as caught:
        attempt()
    if isinstance(caught.value, errors.DecryptionFailed):
        assert caught.value.envelope == case["envelope"]
    assert not {case["envelope"], case["fragment"], case["password"]} - {"", None} & set(str(caught.value).split())


@given(TEXT)
def test_any_text_decrypts_with_its_key_only(text: str) -> None:
    """Only the key decrypts an envelope. Envelopes never repeat and hide the exact length."""
    key = Key.new(password=False)
    sealed = encrypt(text, key)
    assert decrypt(sealed, key) == text
    assert sealed != encrypt(text, key)
    assert len(sealed) == len(encrypt("x" * (len(pad(text.encode())) - 1), key))
    with pytest.raises(errors.WrongPassword):
        decrypt(sealed, Key.new(password=False))


@given(TEXT, PASSWORD)
def test_any_password_decrypts(text: str, password: str) -> None:
    """The password works in any equivalent Unicode form. Another one, or none, does not."""
    with pytest.MonkeyPatch.context() as patch:
        use_one_iteration(patch)
        sealed = encrypt(text, LOCKED, password)
        assert decrypt(sealed, LOCKED, unicodedata.normalize("NFD", password)) == text
        assert decrypt(sealed, KEY, password) == text
        with pytest.raises(errors.WrongPassword):
            decrypt(sealed, LOCKED, password + "x")
        with pytest.raises(errors.PasswordMissing):
            decrypt(sealed, LOCKED)


def test_any_flipped_bit_in_the_head_fails() -> None:
    """An envelope with one flipped bit in its head cannot be decrypted."""
    raw = envelope._unbase64(encrypt("hello", KEY).removeprefix("e2e1."))
    for bit in range(envelope._head.size * 8):
        with pytest.raises(errors.DecryptionFailed):
            decrypt(flip_bit(raw, bit), KEY, "x")


@settings(max_examples=300)
@given(st.integers(33 * 8, (33 + 256 + 16) * 8 - 1))
def test_any_flipped_bit_in_the_ciphertext_fails(bit: int) -> None:
    """An envelope with one flipped bit in its ciphertext or tag cannot be decrypted."""
    raw = envelope._unbase64(encrypt("hello", KEY).removeprefix("e2e1."))
    with pytest.raises(errors.WrongPassword):
        decrypt(flip_bit(raw, bit), KEY)


def flip_bit(raw: bytes, bit: int) -> str:
    """Return the envelope with one flipped bit."""
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return "e2e1." + envelope._base64(bytes(changed))


@given(st.text() | st.text("e2.1AQ_-").map("e2e1.".__add__) | st.binary(max_size=80).map(envelope._base64))
def test_any_text_decrypts_or_raises_a_documented_error(text: str) -> None:
    """No text makes the reader fail in another way. Without a key it may be plain text."""
    with pytest.raises(errors.DecryptionFailed):
        decrypt(text, KEY)
    if is_envelope(text):
        with pytest.raises((errors.KeyMissing, errors.UnknownVersion)):
            decrypt(text, None)
    else:
        assert decrypt(text, None) == text


@given(st.text())
def test_any_fragment_is_a_key_or_empty_or_a_bad_link(fragment: str) -> None:
    """No fragment makes the parser fail in another way."""
    try:
        key = Key.parse(fragment)
    except errors.BadLink:
        return
    assert key is None
    assert fragment == ""


@given(secret=st.binary(min_size=32, max_size=32), password=st.booleans())
def test_keys_round_trip(*, secret: bytes, password: bool) -> None:
    """A key parses as it is written, ends in a letter or digit (programs remove punctuation), and is hidden in repr."""
    key = Key(secret, password)
    assert Key.parse(key.fragment) == key
    assert key.fragment[-1].isalnum()
    assert repr(key) == f"Key(password={password})"


@pytest.mark.parametrize("limit", [1, 411, 412, 413, 1000, 4096, 10_000, 65_536, 1 << 24])
def test_max_text_bytes(limit: int) -> None:
    """The envelope of the longest text fits, and that of one byte more does not."""
    most = max_text_bytes(limit)
    if most:
        assert len(encrypt("x" * most, KEY)) <= limit
    assert len(encrypt("x" * (most + 1), KEY)) > limit


def test_padded_sizes() -> None:
    """The sizes are those in the documentation."""
    assert [len(pad(b"x" * size)) for size in (0, 255, 256, 2047, 2048, 4095, 4096, 8192)] == [
        256, 256, 512, 2048, 4096, 4096, 8192, 12_288,
    ]  # fmt: skip
    assert max_text_bytes(65_536) == 45_055


def test_misuse_raises_value_error() -> None:
    """A missing, empty or superfluous password is an error, and so is text that UTF-8 cannot encode."""
    for key, password in ((LOCKED, None), (LOCKED, ""), (KEY, "x")):
        with pytest.raises(ValueError, match="a password is required if and only if"):
            encrypt("x", key, password)
    with pytest.raises(UnicodeEncodeError):
        encrypt("\ud800", KEY)
