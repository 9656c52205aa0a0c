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
def test_what_is_sealed_opens(key: bytes, plain: bytes, bound: bytes) -> None:
    """The same key and bound bytes give the text back; the box does not hold it and is never the same twice."""
    box = seal(key, plain, bound)
    assert unseal(key, box, bound) == plain
    assert box != seal(key, plain, bound)
    assert len(box) == len(plain) + 28


@given(KEYS, st.binary(min_size=1), st.binary(), st.data())
def test_one_changed_bit_breaks_the_seal(key: bytes, plain: bytes, bound: bytes, data: st.DataObject) -> None:
    """Another key, other bound bytes, a changed or shortened box: none opens."""
    box = bytearray(seal(key, plain, bound))
    bit = data.draw(st.integers(0, len(box) * 8 - 1))
    other_key = bytes([key[0] ^ 1]) + key[1:]
    for attempt in ((other_key, bytes(box), bound), (key, bytes(box), bound + b"x"), (key, bytes(box[:-1]), bound)):
        with pytest.raises(DecryptionError):
            unseal(*attempt)
    box[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecryptionError):
        unseal(key, bytes(box), bound)


@pytest.mark.parametrize("box", [b"", b"x", b"x" * 12, b"x" * 27])
def test_what_is_no_box_does_not_open(box: bytes) -> None:
    """Too short to be a box is a broken seal like any other."""
    with pytest.raises(DecryptionError):
        unseal(bytes(32), box, b"")


def test_derivation_is_fixed() -> None:
    """One personalised BLAKE2b-384 split in two: changing it would lose every message, so it is written down here."""
    secret = bytes(range(16))
    for purpose, person in (
        (MESSAGE, b"msgapi/message/1"),
        (RECEIPT, b"msgapi/receipt/1"),
        (IDEMPOTENCY, b"msgapi/answer/01"),
    ):
        digest = hashlib.blake2b(secret, digest_size=48, person=person).digest()
        assert derive(secret, purpose) == (digest[:16], digest[16:])


def test_purposes_do_not_meet() -> None:
    """The same secret has another place and key for each purpose."""
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
def test_ids_are_read_as_they_are_written(value: uuid.UUID) -> None:
    """The text form is the standard's, in either case."""
    assert format_id(value.bytes) == str(value)
    assert parse_id(str(value)) == parse_id(str(value).upper()) == value.bytes


@given(st.text() | st.uuids(version=1).map(str) | st.uuids(version=4).map(lambda value: value.hex))
def test_nothing_else_is_an_id(text: str) -> None:
    """Other versions, other forms and odd text are none."""
    assert parse_id(text) is None


@given(st.integers(1, 1000), EXPIRIES, st.binary(min_size=1))
def test_counting_down(reads: int, expires_at: int, box: bytes) -> None:
    """A record counts down to its head alone; burning leaves the reads that were left."""
    value = record.pack(reads, expires_at, box)
    assert record.unpack(record.tombstone(value)) == (reads, reads, expires_at, b"")
    for left in range(reads - 1, -1, -1):
        value = record.after_read(value)
        assert record.unpack(value) == (reads, left, expires_at, box if left else b"")
    assert record.unpack(value).state == "read"


@given(st.integers(1, 1000), EXPIRIES, st.binary(min_size=1))
def test_unread(reads: int, expires_at: int, box: bytes) -> None:
    """What expires unread is a message for few of which no read was counted, no trace, nothing that lives longer."""
    value = record.pack(reads, expires_at, box)
    assert record.unread(value, expires_at + 5)
    assert record.unread(value[: record.HEAD + 1], expires_at)
    assert not record.unread(record.after_read(value), expires_at)
    assert not record.unread(record.tombstone(value), expires_at + RECEIPT_EXTRA_MS)
    assert not record.unread(value, expires_at + RECEIPT_EXTRA_MS)
    assert not record.unread(record.pack(None, expires_at, box), expires_at)


@given(st.binary(max_size=record.HEAD), EXPIRIES)
def test_what_is_too_short_was_no_message(value: bytes, expires_at: int) -> None:
    """A receipt may have any length."""
    assert not record.unread(value, expires_at)


@given(EXPIRIES, st.binary(min_size=1))
def test_unlimited(expires_at: int, box: bytes) -> None:
    """Without a limit there is nothing to count."""
    assert record.unpack(record.pack(None, expires_at, box)) == (None, None, expires_at, box)


@pytest.mark.parametrize("value", [None, b"", b"x" * 11])
def test_what_is_no_record_is_nothing(value: bytes | None) -> None:
    """An empty place and something too short to be a message are the same."""
    assert record.parse(value) is None
