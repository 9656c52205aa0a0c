"""The use cases, over a real SQLite store and a clock that tests set."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from messaging_api.core.idempotency import IDEMPOTENCY_TTL_MS, IdempotencyKey
from messaging_api.core.message import Draft, MessageLimits
from messaging_api.core.service import OpenedMessage, ReceiptStatus, Service
from messaging_api.core.store import Store
from messaging_api.errors import FormatRequired, IdempotencyConflict, InvalidRequest, MessageNotFound, MessageTooLarge
from tests.support.stores import HOUR, Clock, on_store

DAY = 24 * HOUR
KEY = IdempotencyKey(b"key", b"client")
VERSION_1, VERSION_4 = "c232ab00-9414-11ec-b3c8-9f6bdeced846", "919108f7-52d1-4320-9bac-f847db4148a8"
"""The examples of RFC 9562, appendix A: one that cannot be a message id, and one that names no message."""


class FrozenClock:
    """A clock in ms since the epoch that a test sets."""

    def __init__(self) -> None:
        self.now = Clock()()

    def __call__(self) -> int:
        return self.now


async def read(service: Service, message_id: str, *, confirmed: bool, consume: bool = True) -> OpenedMessage:
    return await service.open(await service.find(message_id), confirmed=confirmed, consume=consume)


async def status(service: Service, receipt_id: str) -> ReceiptStatus:
    return await service.status(await service.find_receipt(receipt_id))


async def burn(service: Service, receipt_id: str) -> ReceiptStatus:
    status, _ = await service.burn(await service.find_receipt(receipt_id))
    return status


Work = Callable[[Service, FrozenClock, Store], Awaitable[None]]


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[Work], None]:
    """Return a function that runs work on a service over an empty store."""
    clock = FrozenClock()

    def run(work: Work) -> None:
        on_store(
            f"sqlite://{tmp_path}/m.db", lambda store: work(Service(store, MessageLimits(), clock), clock, store), clock
        )

    return run


def test_message_expires_to_the_millisecond(serve: Callable[[Work], None]) -> None:
    """A message can be read until the millisecond of its expiry, its receipt for 24 h more."""

    async def work(service: Service, clock: FrozenClock, _store: Store) -> None:
        created = await service.post(Draft(b"x", ttl=10))
        assert created.expires_at == clock.now + 10_000
        clock.now += 9_999
        assert (await read(service, created.message_id, confirmed=False)).text == b"x"
        assert (await status(service, created.receipt_id)).state == "available"
        clock.now += 1
        with pytest.raises(MessageNotFound):
            await read(service, created.message_id, confirmed=True)
        clock.now += DAY - 1
        assert (await status(service, created.receipt_id)).state == "expired"
        assert (await burn(service, created.receipt_id)).state == "expired"
        clock.now += 1
        with pytest.raises(MessageNotFound):
            await status(service, created.receipt_id)

    serve(work)


def test_status_lasts_until_the_receipt_expires(serve: Callable[[Work], None]) -> None:
    """A read or burned message keeps its status after its expiry."""

    async def work(service: Service, clock: FrozenClock, _store: Store) -> None:
        readable, burned = await service.post(Draft(b"x", ttl=10, reads=1)), await service.post(Draft(b"x", ttl=10))
        await read(service, readable.message_id, confirmed=True)
        await burn(service, burned.receipt_id)
        clock.now += DAY
        assert (await status(service, readable.receipt_id)).state == "read"
        assert (await status(service, burned.receipt_id)).state == "burned"

    serve(work)


def test_limited_message_requires_confirmation(serve: Callable[[Work], None]) -> None:
    """Without confirmation a read is rejected, with `consume=False` it is not counted; neither uses up a read."""

    async def work(service: Service, _clock: FrozenClock, _store: Store) -> None:
        created = await service.post(Draft(b"x", reads=1))
        for _ in range(3):
            with pytest.raises(FormatRequired):
                await read(service, created.message_id, confirmed=False)
            assert (await read(service, created.message_id, confirmed=True, consume=False)).reads_left == 1
        assert (await read(service, created.message_id, confirmed=True)).reads_left == 0
        with pytest.raises(MessageNotFound):
            await read(service, created.message_id, confirmed=True)

    serve(work)


def test_simultaneous_readers_get_n_reads(serve: Callable[[Work], None]) -> None:
    """Of ten simultaneous readers three get a message with three reads; the others get MessageNotFound."""

    async def work(service: Service, _clock: FrozenClock, _store: Store) -> None:
        created = await service.post(Draft(b"x", reads=3))
        reads = (read(service, created.message_id, confirmed=True) for _ in range(10))
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["MessageNotFound"] * 7 + ["OpenedMessage"] * 3

    serve(work)


@pytest.mark.parametrize("name", ["", "x", "\ud800", VERSION_1, VERSION_4, "a" * 10_000])
def test_malformed_id_is_looked_up_like_an_unknown_one(serve: Callable[[Work], None], name: str) -> None:
    """Malformed and unknown ids cost one look-up each, so that the time does not tell them apart."""

    async def work(service: Service, _clock: FrozenClock, store: Store) -> None:
        statements: list[str] = []
        store._reader.set_trace_callback(statements.append)  # type: ignore[attr-defined]
        with pytest.raises(MessageNotFound):
            await read(service, name, confirmed=True)
        with pytest.raises(MessageNotFound):
            await status(service, name)
        with pytest.raises(MessageNotFound):
            await burn(service, name)
        assert len([one for one in statements if "FROM records" in one]) == 3

    serve(work)


def test_idempotency_key_repeats_its_result_for_a_day(serve: Callable[[Work], None]) -> None:
    """For 24 h a key repeats its result; later it counts as new."""

    async def work(service: Service, clock: FrozenClock, _store: Store) -> None:
        first = await service.post(Draft(b"x", ttl=60, reads=2), KEY)
        clock.now += IDEMPOTENCY_TTL_MS - 1
        assert await service.post(Draft(b"x", ttl=60, reads=2), KEY) == first._replace(repeated=True)
        clock.now += 1
        assert not (await service.post(Draft(b"x", ttl=60, reads=2), KEY)).repeated

    serve(work)


@pytest.mark.parametrize("other", [Draft(b"y"), Draft(b"x", ttl=5), Draft(b"x", reads=1)])
def test_idempotency_key_rejects_another_request(serve: Callable[[Work], None], other: Draft) -> None:
    """Another request with the same key is a conflict."""

    async def work(service: Service, _clock: FrozenClock, _store: Store) -> None:
        await service.post(Draft(b"x"), KEY)
        with pytest.raises(IdempotencyConflict):
            await service.post(other, KEY)

    serve(work)


@pytest.mark.parametrize("part", ["reads", "expiry", "box"])
def test_altered_record_does_not_open(serve: Callable[[Work], None], part: str) -> None:
    """Reads, expiry and text are sealed together: write access to the store does not allow to change a message."""
    offset = {"reads": 1, "expiry": 6, "box": -1}[part]

    async def work(service: Service, _clock: FrozenClock, store: Store) -> None:
        created = await service.post(Draft(b"x" * 50, reads=5))

        def alter(database: object) -> None:
            query = "SELECT locator, value FROM records ORDER BY length(value) DESC LIMIT 1"
            locator, value = database.execute(query).fetchone()  # type: ignore[attr-defined]
            altered = bytearray(value)
            altered[offset] ^= 3
            database.execute("UPDATE records SET value = ? WHERE locator = ?", (bytes(altered), locator))  # type: ignore[attr-defined]

        await store._writes.submit(alter)  # type: ignore[attr-defined]
        with pytest.raises(MessageNotFound):
            await read(service, created.message_id, confirmed=True, consume=False)

    serve(work)


def test_altered_receipt_does_not_open(serve: Callable[[Work], None]) -> None:
    """An altered receipt is not found."""

    async def work(service: Service, _clock: FrozenClock, store: Store) -> None:
        created = await service.post(Draft(b"x"))
        await store._writes.submit(  # type: ignore[attr-defined]
            lambda database: database.execute("UPDATE records SET value = CAST(x'00' || value AS BLOB)")
        )
        with pytest.raises(MessageNotFound):
            await status(service, created.receipt_id)

    serve(work)


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (Draft(b""), InvalidRequest),
        (Draft(b"x" * 65_537), MessageTooLarge),
        (Draft(b"x", reads=0), InvalidRequest),
        (Draft(b"x", reads=1001), InvalidRequest),
        (Draft(b"x", ttl=0), InvalidRequest),
        (Draft(b"x", ttl=604_801), InvalidRequest),
        (Draft(b"x", ttl=1, expires_at=1), InvalidRequest),
        (Draft(b"x", expires_at=1), InvalidRequest),
    ],
)
def test_invalid_drafts_are_rejected(serve: Callable[[Work], None], draft: Draft, error: type[Exception]) -> None:
    """An invalid draft raises its error, and nothing is stored."""

    async def work(service: Service, _clock: FrozenClock, store: Store) -> None:
        with pytest.raises(error):
            await service.post(draft)
        assert store._reader.execute("SELECT count(*) FROM records").fetchone() == (0,)  # type: ignore[attr-defined]

    serve(work)
