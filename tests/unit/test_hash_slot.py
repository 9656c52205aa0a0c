"""Slots of keys and what nodes say about who serves them."""

from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from messaging_api.stores.redis.hash_slot import SLOTS, count_slots, masters, node_endpoint, slot_of
from messaging_api.stores.redis.url import Endpoint

ASKED = Endpoint("asked", 7000)


@given(st.binary() | st.lists(st.sampled_from([b"{", b"}", b"a", b"\x00"])).map(b"".join))
@example(b"123456789")
@example(b"{user1000}.following")
@example(b"foo{}{bar}")
@example(b"foo{{bar}}zap")
@example(b"}{")
def test_slots_are_those_of_the_specification(key: bytes) -> None:
    """Odd bytes and braces too, as another implementation has it."""
    assert slot_of(key) == key_slot(key)


def test_a_view_names_the_master_of_each_range() -> None:
    """Replicas are passed over; a node without a host is on the one that was asked."""
    view = [
        [0, 9, [b"10.0.0.1", 6379, b"id", []], [b"10.0.0.2", 6379, b"id", []]],
        [10, SLOTS - 1, [None, 7001, b"id", [b"hostname", b"x"]]],
    ]
    ranges = list(masters(view, ASKED))
    assert ranges == [(range(10), ("10.0.0.1", 6379)), (range(10, SLOTS), ("asked", 7001))]
    assert count_slots(ranges) == SLOTS
    assert count_slots(ranges[1:]) == SLOTS - 10


def test_hosts_that_are_not_told() -> None:
    """An empty host and an unknown one mean the node that was asked."""
    assert [node_endpoint(host, 1, ASKED) for host in ("", "?", "::1")] == [("asked", 1), ("asked", 1), ("::1", 1)]
