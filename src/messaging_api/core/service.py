"""The use cases: post, find, open, burn. Knows sealing and the Store protocol; no HTTP, no database, no quotas."""

import struct
from collections.abc import Callable
from typing import Literal, NamedTuple

from messaging_api.core import record
from messaging_api.core.idempotency import (
    IdempotencyKey,
    PostResult,
    locator_of,
    message_size,
    open_result,
    seal_result,
)
from messaging_api.core.message import RECEIPT_EXTRA_MS, Draft, MessageLimits, format_id, new_id, parse_id
from messaging_api.core.record import StoredMessage
from messaging_api.core.sealing import (
    MESSAGE,
    RECEIPT,
    RESUME,
    DecryptionError,
    Keyring,
    derive,
    seal,
    unseal,
)
from messaging_api.core.store import Entry, Store
from messaging_api.errors import (
    FormatRequired,
    InvalidRequest,
    MessageNotFound,
    MessageTooLarge,
    MessagingError,
    StoreFull,
)

_new = tuple.__new__
"""Makes a named tuple in a third of the time that its class takes."""
_receipt_record = struct.Struct(">16sHQ")


class CreatedMessage(NamedTuple):
    """A new message, for its sender.

    `expires_at` is in ms since the epoch. `tag` names the message in logs: the first 8 hex digits of its locator.
    `repeated` says that an earlier request created it.
    """

    message_id: str
    receipt_id: str
    expires_at: int
    reads: int | None
    tag: str
    repeated: bool = False


class OpenedMessage(NamedTuple):
    """A message for its reader: its text (UTF-8), its expiry (ms since the epoch) and the reads left after this one.

    `resumed` says that an earlier read with the same key was repeated, which counts nothing.
    """

    text: bytes
    expires_at: int
    reads_left: int | None
    tag: str
    resumed: bool = False


class ReceiptStatus(NamedTuple):
    """The status of a message, for its sender. `expires_at` is in ms since the epoch."""

    state: Literal["available", "read", "burned", "expired"]
    reads: int | None
    reads_left: int | None
    expires_at: int
    tag: str


class FoundMessage(NamedTuple):
    """A message that was found, and the keys that its link gives.

    `resume_keys` are those of the reader's resume record, if the reader sent a key of its own. Only then `stored` may
    be None: the message cannot be read any more, but the record may still be there.
    """

    stored: StoredMessage | None
    keys: Keyring
    resume_keys: Keyring | None = None


class FoundReceipt(NamedTuple):
    """A receipt that was found: the locator of its message, and the options that the message was posted with."""

    locator: bytes
    reads: int | None
    expires_at: int


class Service:
    """The service: it posts, reads and burns messages. `clock` returns milliseconds since the epoch."""

    def __init__(self, store: Store, limits: MessageLimits, clock: Callable[[], int]) -> None:
        self.limits = limits
        self._store = store
        self._clock = clock

    async def post(self, draft: Draft, idempotency_key: IdempotencyKey | None = None) -> CreatedMessage:
        """Store a message, or return the result of the earlier request with this idempotency key.

        A repeat is not held to the limits, or to the space in the store, that a new message needs. Raises
        InvalidRequest, MessageTooLarge, IdempotencyConflict, StoreError.
        """
        now = self._clock()
        try:
            expires_at = self.limits.check(draft, now)
        except (InvalidRequest, MessageTooLarge) as error:
            return await self._earlier(draft, idempotency_key, error)
        message_id, receipt_id = new_id(), new_id()
        message_keys = derive(message_id, MESSAGE)
        receipt_keys = derive(receipt_id, RECEIPT)
        box = seal(message_keys.key, draft.text, record.associated_data(draft.reads, expires_at))
        sealed_receipt = seal(
            receipt_keys.key, _receipt_record.pack(message_keys.locator, draft.reads or 0, expires_at), b""
        )
        life = expires_at - now
        entry = None
        if idempotency_key is not None:
            result = PostResult(message_id, receipt_id, draft.reads or 0, expires_at)
            entry = seal_result(draft, idempotency_key, result)
        try:
            known = await self._store.create(
                Entry(message_keys.locator, record.pack(draft.reads, expires_at, box), life),
                Entry(receipt_keys.locator, sealed_receipt, life + RECEIPT_EXTRA_MS),
                entry,
            )
        except StoreFull as error:
            return await self._earlier(draft, idempotency_key, error)
        if known is None or idempotency_key is None:
            return _created(message_id, receipt_id, draft.reads, expires_at, message_keys)
        return _earlier_result(draft, idempotency_key, known)

    async def find(self, message_id: str, reader_key: bytes | None = None) -> FoundMessage:
        """Look a message up without any effect. Raises MessageNotFound, StoreError.

        A reader that sends a key of its own can take up a read that broke off; see `open`. A malformed id takes the
        same steps, and the same time, as an unknown one.
        """
        secret = parse_id(message_id) or message_id.encode(errors="replace")
        keys = derive(secret, MESSAGE)
        stored = await self._store.look(keys.locator)
        if stored is None or not stored.box or stored.expires_at <= self._clock():
            stored = None
        if reader_key is not None and self.limits.resume_seconds:
            return FoundMessage(stored, keys, derive(secret + reader_key, RESUME))
        if stored is None:
            raise MessageNotFound
        return _new(FoundMessage, (stored, keys, None))

    async def earlier_size(self, idempotency_key: IdempotencyKey) -> int:
        """Return the bytes of the message that was posted with this key, 0 if there was none. Raises StoreError."""
        known = await self._store.receipt(locator_of(idempotency_key))
        return 0 if known is None else message_size(known)

    async def open(self, found: FoundMessage, *, confirmed: bool, consume: bool = True) -> OpenedMessage:
        """Return a message, and count a read if its reads are limited.

        `confirmed` says that the client wants the text and not a preview; `consume=False` counts nothing. A read with
        a key of the reader stores a resume record in the step that counts it; the same key gets the same text again.
        Raises MessageNotFound, FormatRequired, StoreError.
        """
        stored, (locator, key), resume_keys = found
        if stored is None:
            raise MessageNotFound
        text = _open(key, stored)  # before the read is counted, so that a damaged record costs none
        left = stored.reads_left
        if left is not None:
            if not confirmed:
                raise FormatRequired
            if consume:
                resume_record = None if resume_keys is None else self._resume_record(stored, text, resume_keys)
                taken = await self._store.take(locator, resume_record)
                if taken is None:
                    raise MessageNotFound
                if taken.box:
                    return self._resumed(found, taken)
                left = (taken.reads_left or 0) - 1
        return OpenedMessage(text, stored.expires_at, left, locator[:4].hex())

    async def resume(self, found: FoundMessage, *, confirmed: bool) -> OpenedMessage:
        """Return a message without reads left to the reader that spent one. Raises MessageNotFound, StoreError."""
        if found.resume_keys is None or not confirmed:
            raise MessageNotFound
        return self._resumed(found, await self._store.resume(found.keys.locator, found.resume_keys.locator))

    def _resume_record(self, stored: StoredMessage, text: bytes, keys: Keyring) -> Entry:
        box = seal(keys.key, text, record.associated_data(stored.reads, stored.expires_at))
        life = stored.expires_at - self._clock()
        return Entry(keys.locator, box, max(1, min(life, self.limits.resume_seconds * 1000)))

    def _resumed(self, found: FoundMessage, stored: StoredMessage | None) -> OpenedMessage:
        """Return the message of a resume record, as it was returned before."""
        if stored is None or stored.expires_at <= self._clock():
            raise MessageNotFound
        text = _open(found.resume_keys.key if found.resume_keys else b"", stored)
        left = (stored.reads_left or 0) - 1
        return OpenedMessage(text, stored.expires_at, left, found.keys.locator[:4].hex(), resumed=True)

    async def find_receipt(self, receipt_id: str) -> FoundReceipt:
        """Look a receipt up. Raises MessageNotFound, StoreError."""
        keyring = derive(parse_id(receipt_id) or receipt_id.encode(errors="replace"), RECEIPT)
        box = await self._store.receipt(keyring.locator)
        if box is None:
            raise MessageNotFound
        try:
            locator, reads, expires_at = _receipt_record.unpack(unseal(keyring.key, box, b""))
        except DecryptionError:
            raise MessageNotFound from None
        if expires_at + RECEIPT_EXTRA_MS <= self._clock():
            raise MessageNotFound
        return FoundReceipt(locator, reads or None, expires_at)

    async def status(self, receipt: FoundReceipt) -> ReceiptStatus:
        """Return the status of a message. Raises StoreError."""
        return self._status(await self._store.look(receipt.locator), receipt)

    async def burn(self, receipt: FoundReceipt) -> tuple[ReceiptStatus, bool]:
        """Make a message unreadable now, if it still is readable.

        Return its status, and whether this call burned it: of several calls, one does. Raises StoreError.
        """
        before = await self._store.burn(receipt.locator)
        burned = before is not None and before.box != b""
        return self._status(before and before._replace(box=b""), receipt), burned

    async def _earlier(self, draft: Draft, key: IdempotencyKey | None, error: MessagingError) -> CreatedMessage:
        """Return the result of the earlier request with this key; raise `error` if there was none."""
        known = None if key is None else await self._store.receipt(locator_of(key))
        if key is None or known is None:
            raise error
        return _earlier_result(draft, key, known)

    def _status(self, stored: StoredMessage | None, receipt: FoundReceipt) -> ReceiptStatus:
        locator, reads, expires_at = receipt
        tag = locator[:4].hex()
        if stored is None or (stored.box and expires_at <= self._clock()):
            return ReceiptStatus("expired", reads, None, expires_at, tag)
        return ReceiptStatus(stored.state, reads, stored.reads_left, expires_at, tag)


def _open(key: bytes, message: StoredMessage) -> bytes:
    try:
        return unseal(key, message.box, record.associated_data(message.reads, message.expires_at))
    except DecryptionError:
        raise MessageNotFound from None


def _created(
    message_id: bytes, receipt_id: bytes, reads: int | None, expires_at: int, keyring: Keyring
) -> CreatedMessage:
    return CreatedMessage(format_id(message_id), format_id(receipt_id), expires_at, reads, keyring.locator[:4].hex())


def _earlier_result(draft: Draft, idempotency_key: IdempotencyKey, known: bytes) -> CreatedMessage:
    message_id, receipt_id, reads, expires_at = open_result(draft, idempotency_key, known)
    created = _created(message_id, receipt_id, reads or None, expires_at, derive(message_id, MESSAGE))
    return created._replace(repeated=True)
