"""Sealing, ids and the record's layout: properties over odd bytes."""

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.core import record
from messaging_api.core.message import RECEIPT_EXTRA_MS, format_id, new_id, parse_id
from messaging_api.core.sealing import IDEMPOTENCY, MESSAGE, RECEIPT, DecryptionError, derive, seal, unseal

KEYS = st.binary(min_size=32, max_size=32)
EXPIRIES = st.integers(0, 2**64 - 1)


@given(KEYS, st.binary(), st.binary())
def test_seal_round_trip(key: bytes, plain: bytes, data: bytes) -> None:
    """The same key and associated data return the text; the box does not contain it and is never the same twice."""
    box = seal(key, plain, data)
    assert unseal(key, box, data) == plain
    assert box != seal(key, plain, data)
    assert len(box) == len(plain) + 28


@given(KEYS, st.binary(min_size=1), st.binary(), st.data())
def test_altered_box_does_not_open(key: bytes, plain: bytes, data: bytes, chosen: st.DataObject) -> None:
    """Another key, other associated data, and an altered or shortened box do not open."""
    box = bytearray(seal(key, plain, data))
    bit = chosen.draw(st.integers(0, len(box) * 8 - 1))
    other_key = bytes([key[0] ^ 1]) + key[1:]
    for attempt in (
        (other_key, bytes(box), data),
        (key, bytes(box), data + b"x"),
        (key, bytes(box[:-1]), data),
    ):
        with pytest.raises(DecryptionError):
            unseal(*attempt)
    box[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecryptionError):
        unseal(key, bytes(box), data)


@pytest.mark.parametrize("box", [b"", b"x", b"x" * 12, b"x" * 27])
def test_short_box_does_not_open(box: bytes) -> None:
    """Bytes that are too short for a box raise the same error."""
    with pytest.raises(DecryptionError):
        unseal(bytes(32), box, b"")


def test_derivation_is_fixed() -> None:
    """Derivation is one personalised BLAKE2b-384 split in two; a change would lose every message."""
    secret = bytes(range(16))
    for purpose, person in (
        (MESSAGE, b"msgapi/message/1"),
        (RECEIPT, b"msgapi/receipt/1"),
        (IDEMPOTENCY, b"msgapi/answer/01"),
    ):
        digest = hashlib.blake2b(secret, digest_size=48, person=person).digest()
        assert derive(secret, purpose) == (digest[:16], digest[16:])


def test_purposes_yield_different_keys() -> None:
    """A secret has another locator and another key for each purpose."""
    derived = [derive(bytes(16), purpose) for purpose in (MESSAGE, RECEIPT, IDEMPOTENCY)]
    assert len({part for keyring in derived for part in keyring}) == 6


def test_ids_are_uuid4() -> None:
    """Version 4, RFC 9562 variant, all other 122 bits vary."""
    ids = [new_id() for _ in range(1000)]
    assert {uuid.UUID(bytes=raw).version for raw in ids} == {4}
    assert {uuid.UUID(bytes=raw).variant for raw in ids} == {uuid.RFC_4122}
    ones = [sum(int.from_bytes(raw, "big") >> bit & 1 for raw in ids) for bit in range(128)]
    assert sum(300 < count < 700 for count in ones) == 122


@given(st.uuids(version=4))
def test_id_round_trip(value: uuid.UUID) -> None:
    """The text form is that of the standard, in either case."""
    assert format_id(value.bytes) == str(value)
    assert parse_id(str(value)) == parse_id(str(value).upper()) == value.bytes


@given(st.text() | st.uuids(version=1).map(str) | st.uuids(version=4).map(lambda value: value.hex))
def test_other_texts_are_no_ids(text: str) -> None:
    """Other versions, other forms and odd texts are no ids."""
    assert parse_id(text) is None


@given(st.integers(1, 1000), EXPIRIES, st.binary(min_size=1))
def test_reads_count_down(reads: int, expires_at: int, box: bytes) -> None:
    """A record counts down to its head; a burn keeps the reads that were left."""
    value = record.pack(reads, expires_at, box)
    assert record.unpack(record.tombstone(value)) == (reads, reads, expires_at, b"")
    for left in range(reads - 1, -1, -1):
        value = record.after_read(value)
        assert record.unpack(value) == (reads, left, expires_at, box if left else b"")
    assert record.unpack(value).state == "read"


@given(st.integers(1, 1000), EXPIRIES, st.binary(min_size=1))
def test_unread_messages(reads: int, expires_at: int, box: bytes) -> None:
    """Only a message with limited reads and no read is unread, not a tombstone, nor a record that lives longer."""
    value = record.pack(reads, expires_at, box)
    assert record.unread(value, expires_at + 5)
    assert record.unread(value[: record.HEAD + 1], expires_at)
    assert not record.unread(record.after_read(value), expires_at)
    assert not record.unread(record.tombstone(value), expires_at + RECEIPT_EXTRA_MS)
    assert not record.unread(value, expires_at + RECEIPT_EXTRA_MS)
    assert not record.unread(record.pack(None, expires_at, box), expires_at)


@given(st.binary(max_size=record.HEAD), EXPIRIES)
def test_short_record_is_not_unread(value: bytes, expires_at: int) -> None:
    """A receipt of any length is no unread message."""
    assert not record.unread(value, expires_at)


@given(EXPIRIES, st.binary(min_size=1))
def test_unlimited_reads_are_not_unread(expires_at: int, box: bytes) -> None:
    """A message with unlimited reads is never unread."""
    assert record.unpack(record.pack(None, expires_at, box)) == (None, None, expires_at, box)


@pytest.mark.parametrize("value", [None, b"", b"x" * 11])
def test_absent_and_short_records_are_none(value: bytes | None) -> None:
    """An absent record and one that is too short are both None."""
    assert record.parse(value) is None
