"""Reads that are resumed with the reader's key, over a real SQLite store and a clock that the test sets."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from messaging_api.core.message import Draft, MessageLimits
from messaging_api.core.sealing import MESSAGE, RESUME, DecryptionError, derive, unseal
from messaging_api.core.service import OpenedMessage, Service
from messaging_api.errors import FormatRequired, MessageNotFound
from tests.support.stores import on_store
from tests.unit.test_service import FrozenClock

KEY, OTHER = b"k" * 22, b"o" * 22
WINDOW = 60_000

Work = Callable[[Service, FrozenClock, Any], Awaitable[None]]


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., None]:
    """Return a function that runs work on a service that resumes reads for so many seconds."""

    def run(work: Work, seconds: int = 60) -> None:
        clock = FrozenClock()
        limits = MessageLimits(resume_seconds=seconds)
        on_store(f"sqlite://{tmp_path}/m.db", lambda store: work(Service(store, limits, clock), clock, store), clock)

    return run


async def read(service: Service, message_id: str, key: bytes | None = KEY, **how: bool) -> OpenedMessage:
    found = await service.find(message_id, key)
    if found.stored is None:
        return await service.resume(found, confirmed=how.get("confirmed", True))
    return await service.open(found, **{"confirmed": True, **how})


async def is_gone(service: Service, message_id: str, key: bytes | None = KEY, **how: bool) -> None:
    with pytest.raises(MessageNotFound):
        await read(service, message_id, key, **how)


def test_same_key_gets_the_same_message_until_the_window_ends(serve: Callable[..., None]) -> None:
    """The repeated read is the same but for its mark, and counts nothing."""

    async def work(service: Service, clock: FrozenClock, _store: Any) -> None:
        created = await service.post(Draft(b"x", reads=1))
        first = await read(service, created.message_id)
        assert (first.text, first.reads_left, first.resumed) == (b"x", 0, False)
        clock.now += WINDOW - 1
        assert await read(service, created.message_id) == first._replace(resumed=True)
        clock.now += 1
        await is_gone(service, created.message_id)

    serve(work)


def test_nobody_else_is_served(serve: Callable[..., None]) -> None:
    """Another key, no key and a preview do not get a message that was read out."""

    async def work(service: Service, _clock: FrozenClock, _store: Any) -> None:
        created = await service.post(Draft(b"x", reads=1))
        await read(service, created.message_id)
        await is_gone(service, created.message_id, OTHER)
        await is_gone(service, created.message_id, None)
        await is_gone(service, created.message_id, confirmed=False)

    serve(work)


def test_each_key_spends_a_read_of_its_own(serve: Callable[..., None]) -> None:
    """Readers of one message do not get each other's reads, in any order."""

    async def work(service: Service, _clock: FrozenClock, _store: Any) -> None:
        created = await service.post(Draft(b"x", reads=2))
        assert [(await read(service, created.message_id, key)).reads_left for key in (KEY, KEY, OTHER)] == [1, 1, 0]
        assert [(await read(service, created.message_id, key)).reads_left for key in (OTHER, KEY)] == [0, 1]
        await is_gone(service, created.message_id, b"t" * 22)

    serve(work)


def test_resumed_read_ends_with_the_message(serve: Callable[..., None]) -> None:
    """A message that expires within the window is gone for its reader too, and its text; so is an unlimited one."""

    async def work(service: Service, clock: FrozenClock, store: Any) -> None:
        once, unlimited = await service.post(Draft(b"x", ttl=5, reads=1)), await service.post(Draft(b"x", ttl=5))
        await read(service, once.message_id)
        assert store._reader.execute("SELECT gone_at FROM resume_records").fetchone() == (once.expires_at,)
        clock.now += 4_999
        assert (await read(service, once.message_id)).resumed
        assert (await read(service, unlimited.message_id)).reads_left is None
        clock.now += 1
        await is_gone(service, once.message_id)
        await is_gone(service, unlimited.message_id)

    serve(work)


def test_burn_ends_resumed_reads(serve: Callable[..., None]) -> None:
    """After a burn the reader that had the message does not get it again."""

    async def work(service: Service, _clock: FrozenClock, _store: Any) -> None:
        created = await service.post(Draft(b"x", reads=2))
        await read(service, created.message_id)
        await service.burn(await service.find_receipt(created.receipt_id))
        await is_gone(service, created.message_id)

    serve(work)


def test_keys_are_ignored_where_reads_are_not_resumed(serve: Callable[..., None]) -> None:
    """With a window of 0 the text is deleted with the last read."""

    async def work(service: Service, _clock: FrozenClock, store: Any) -> None:
        created = await service.post(Draft(b"x", reads=1))
        assert (await read(service, created.message_id)).text == b"x"
        await is_gone(service, created.message_id)
        assert store._reader.execute("SELECT count(*) FROM resume_records").fetchone() == (0,)

    serve(work, seconds=0)


def test_unconfirmed_read_with_a_key_needs_a_format(serve: Callable[..., None]) -> None:
    """A preview with a key spends nothing and stores nothing."""

    async def work(service: Service, _clock: FrozenClock, store: Any) -> None:
        created = await service.post(Draft(b"x", reads=1))
        with pytest.raises(FormatRequired):
            await read(service, created.message_id, confirmed=False)
        assert store._reader.execute("SELECT count(*) FROM resume_records").fetchone() == (0,)

    serve(work)


def test_record_opens_only_with_link_and_key(serve: Callable[..., None]) -> None:
    """Neither the keys of the message nor those of another reader open a resume record, and the text is not in it."""

    async def work(service: Service, _clock: FrozenClock, store: Any) -> None:
        created = await service.post(Draft(b"the text", reads=1))
        await read(service, created.message_id)
        secret = bytes.fromhex(created.message_id.replace("-", ""))
        locator, value = store._reader.execute("SELECT locator, value FROM resume_records").fetchone()
        right = derive(secret + KEY, RESUME)
        assert locator == right.locator
        head, box = value[:12], value[12:]
        assert unseal(right.key, box, head[:2] + head[4:]) == b"the text"
        assert b"the text" not in value
        wrong = (derive(secret, MESSAGE), derive(secret, RESUME), derive(KEY, RESUME), derive(secret + OTHER, RESUME))
        for keys in wrong:
            assert keys.locator != locator
            with pytest.raises(DecryptionError):
                unseal(keys.key, box, head[:2] + head[4:])

    serve(work)


def test_damaged_message_spends_no_read(serve: Callable[..., None]) -> None:
    """A message that does not open is noticed before its read is counted."""

    async def work(service: Service, _clock: FrozenClock, store: Any) -> None:
        created = await service.post(Draft(b"x" * 50, reads=1))

        def damage(database: Any) -> None:
            database.execute("UPDATE records SET value = substr(value, 1, 30) WHERE locator = ?", (locator,))

        locator = (await service.find(created.message_id)).keys.locator
        await store._writes.submit(damage)
        await is_gone(service, created.message_id)
        after = await store.look(locator)
        assert after.reads_left == 1

    serve(work)
