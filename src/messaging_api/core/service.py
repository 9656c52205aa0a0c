"""The use cases: post, read, receipt, burn. Knows sealing and the Store protocol; no HTTP, no database."""

import struct
from collections.abc import Callable
from hashlib import blake2b
from typing import Literal, NamedTuple

from messaging_api.core import record
from messaging_api.core.message import RECEIPT_EXTRA_MS, Draft, MessageLimits, format_id, new_id, parse_id
from messaging_api.core.ratelimit import UNLIMITED, Permit
from messaging_api.core.record import StoredMessage
from messaging_api.core.sealing import ANSWER, MESSAGE, RECEIPT, DecryptionError, Keyring, derive, seal, unseal
from messaging_api.core.store import Entry, Store
from messaging_api.errors import FormatRequired, IdempotencyConflict, MessageNotFound

ANSWER_TTL_MS = 24 * 3600 * 1000
"""How long an idempotency key is remembered."""

_receipt = struct.Struct(">16sHQ")
_answer = struct.Struct(">16s16sHQ")


class CreatedMessage(NamedTuple):
    """What the sender learns. `tag` names the message in logs: 8 hex digits of its locator."""

    message_id: str
    receipt_id: str
    expires_at: int
    reads: int | None
    tag: str


class OpenedMessage(NamedTuple):
    """A message handed over: its text (UTF-8) and how many reads are left after this one."""

    text: bytes
    expires_at: int
    reads_left: int | None
    tag: str


class ReceiptStatus(NamedTuple):
    """What became of a message, for its sender."""

    state: Literal["available", "read", "burned", "expired"]
    reads: int | None
    reads_left: int | None
    expires_at: int
    tag: str


class Service:
    """`clock` gives milliseconds since the epoch. A `permit` is asked for in the round trip of the first look."""

    def __init__(self, store: Store, bounds: MessageLimits, clock: Callable[[], int]) -> None:
        self.bounds = bounds
        self._store = store
        self._clock = clock

    async def post(self, draft: Draft, idempotency_key: bytes | None = None) -> CreatedMessage:
        """Keep a message. Raises InvalidRequest, MessageTooLarge, IdempotencyConflict, StoreError."""
        now = self._clock()
        expires_at = self.bounds.check(draft, now)
        message_id, receipt_id = new_id(), new_id()
        message = derive(message_id, MESSAGE)
        receipt = derive(receipt_id, RECEIPT)
        box = seal(message.key, draft.text, record.associated_data(draft.reads, expires_at))
        ticket = seal(receipt.key, _receipt.pack(message.locator, draft.reads or 0, expires_at), b"")
        life = expires_at - now
        known = await self._store.create(
            Entry(message.locator, record.pack(draft.reads, expires_at, box), life),
            Entry(receipt.locator, ticket, life + RECEIPT_EXTRA_MS),
            _keep_answer(draft, idempotency_key, _answer.pack(message_id, receipt_id, draft.reads or 0, expires_at))
            if idempotency_key is not None
            else None,
        )
        if known is None or idempotency_key is None:
            return _posted(message_id, receipt_id, draft.reads, expires_at, message)
        return _earlier_answer(draft, idempotency_key, known)

    async def read(
        self, message_id: str, *, confirmed: bool, counting: bool = True, permit: Permit = UNLIMITED
    ) -> OpenedMessage:
        """Hand over a message; counts a read if it is limited.

        `confirmed` says that the asker wants the text and not a preview; `counting=False` looks only.

        Raises MessageNotFound,
        FormatRequired, LimitReached, StoreError. A malformed id goes the same way as one that nobody has.
        """
        locator, key = derive(parse_id(message_id) or message_id.encode(errors="replace"), MESSAGE)
        permit.start()
        kept = self._present(await self._store.look(locator))
        await permit.wait()
        if kept is not None and kept.reads is not None:
            if not confirmed:
                raise FormatRequired
            if counting:
                kept = self._present(await self._store.take(locator))
        if kept is None:
            raise MessageNotFound
        left = kept.reads_left if kept.reads_left is None or not counting else kept.reads_left - 1
        return OpenedMessage(_open(key, kept), kept.expires_at, left, locator[:4].hex())

    async def receipt(self, receipt_id: str, permit: Permit = UNLIMITED) -> ReceiptStatus:
        """What became of a message. Raises MessageNotFound, LimitReached, StoreError."""
        locator, reads, expires_at = await self._ticket(receipt_id, permit)
        return self._state(await self._store.look(locator), locator, reads, expires_at)

    async def burn(self, receipt_id: str, permit: Permit = UNLIMITED) -> ReceiptStatus:
        """Make a message unreadable now, if it still is readable. Raises MessageNotFound, LimitReached, StoreError."""
        locator, reads, expires_at = await self._ticket(receipt_id, permit)
        before = self._state(await self._store.burn(locator), locator, reads, expires_at)
        return before._replace(state="burned") if before.state == "available" else before

    async def ping(self) -> None:
        """Raises StoreError when the store does not answer."""
        await self._store.ping()

    def _present(self, kept: StoredMessage | None) -> StoredMessage | None:
        return kept if kept is not None and kept.box and kept.expires_at > self._clock() else None

    async def _ticket(self, receipt_id: str, permit: Permit) -> tuple[bytes, int | None, int]:
        keyring = derive(parse_id(receipt_id) or receipt_id.encode(errors="replace"), RECEIPT)
        permit.start()
        ticket = await self._store.receipt(keyring.locator)
        await permit.wait()
        if ticket is None:
            raise MessageNotFound
        try:
            locator, reads, expires_at = _receipt.unpack(unseal(keyring.key, ticket, b""))
        except DecryptionError:
            raise MessageNotFound from None
        if expires_at + RECEIPT_EXTRA_MS <= self._clock():
            raise MessageNotFound
        return locator, reads or None, expires_at

    def _state(self, kept: StoredMessage | None, locator: bytes, reads: int | None, expires_at: int) -> ReceiptStatus:
        tag = locator[:4].hex()
        if kept is None or (kept.box and expires_at <= self._clock()):
            return ReceiptStatus("expired", reads, None, expires_at, tag)
        return ReceiptStatus(kept.state, reads, kept.reads_left, expires_at, tag)


def _open(key: bytes, kept: StoredMessage) -> bytes:
    try:
        return unseal(key, kept.box, record.associated_data(kept.reads, kept.expires_at))
    except DecryptionError:
        raise MessageNotFound from None


def _posted(
    message_id: bytes, receipt_id: bytes, reads: int | None, expires_at: int, message: Keyring
) -> CreatedMessage:
    return CreatedMessage(format_id(message_id), format_id(receipt_id), expires_at, reads, message.locator[:4].hex())


def _answer_keyring(draft: Draft, idempotency_key: bytes) -> Keyring:
    """The place follows from the idempotency key alone, the key from the whole request.

    So an answer opens only for the same request, nothing about the request is kept to compare with, and a
    guessable idempotency key does not open the answer to whoever holds the store.
    """
    fingerprint = blake2b(repr((idempotency_key, *draft)).encode(), digest_size=32).digest()
    return Keyring(derive(idempotency_key, ANSWER).locator, derive(fingerprint, ANSWER).key)


def _keep_answer(draft: Draft, idempotency_key: bytes, answer: bytes) -> Entry:
    locator, key = _answer_keyring(draft, idempotency_key)
    return Entry(locator, seal(key, answer, b""), ANSWER_TTL_MS)


def _earlier_answer(draft: Draft, idempotency_key: bytes, box: bytes) -> CreatedMessage:
    try:
        plain = unseal(_answer_keyring(draft, idempotency_key).key, box, b"")
    except DecryptionError:
        raise IdempotencyConflict from None
    message_id, receipt_id, reads, expires_at = _answer.unpack(plain)
    return _posted(message_id, receipt_id, reads or None, expires_at, derive(message_id, MESSAGE))
