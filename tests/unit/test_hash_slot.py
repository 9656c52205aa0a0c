"""Hash slots of keys, and the masters of slots."""

from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from messaging_api.stores.redis.hash_slot import SLOTS, count_slots, masters, node_endpoint, slot_of
from messaging_api.stores.redis.url import Endpoint

QUERIED = Endpoint("queried", 7000)


@given(st.binary() | st.lists(st.sampled_from([b"{", b"}", b"a", b"\x00"])).map(b"".join))
@example(b"123456789")
@example(b"{user1000}.following")
@example(b"foo{}{bar}")
@example(b"foo{{bar}}zap")
@example(b"}{")
def test_slots_equal_another_implementation(key: bytes) -> None:
    """Slots equal those of redis-py, with odd bytes and braces too."""
    assert slot_of(key) == key_slot(key)


def test_masters_of_each_range() -> None:
    """Replicas are skipped; a node without a host is on the host of the queried node."""
    reply = [
        [0, 9, [b"10.0.0.1", 6379, b"id", []], [b"10.0.0.2", 6379, b"id", []]],
        [10, SLOTS - 1, [None, 7001, b"id", [b"hostname", b"x"]]],
    ]
    ranges = list(masters(reply, QUERIED))
    assert ranges == [(range(10), ("10.0.0.1", 6379)), (range(10, SLOTS), ("queried", 7001))]
    assert count_slots(ranges) == SLOTS
    assert count_slots(ranges[1:]) == SLOTS - 10


def test_missing_host_is_that_of_the_queried_node() -> None:
    """An empty and an unknown host mean the queried node."""
    assert [node_endpoint(host, 1, QUERIED) for host in ("", "?", "::1")] == [
        ("queried", 1),
        ("queried", 1),
        ("::1", 1),
    ]
