"""What servers say: any reply is understood or is a StoreError, and so is any error reply."""

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.errors import NotExecuted, StoreError
from messaging_api.stores.redis.errors import AskRedirect, MovedRedirect, store_error
from messaging_api.stores.redis.hash_slot import SLOTS, count_slots, masters
from messaging_api.stores.redis.replies import UnexpectedReply
from messaging_api.stores.redis.sentinel import ReportedMaster, _report
from messaging_api.stores.redis.stats import parse_info
from messaging_api.stores.redis.url import Endpoint

TAKE = ("EVALSHA", "hash", "1", b"key")
QUERIED = Endpoint("queried", 7000)
ERRORS = st.text(max_size=20).map(hiredis.ReplyError)
PARTS = st.none() | st.integers(-2, SLOTS + 1) | st.binary(max_size=20) | ERRORS | st.floats() | st.booleans()
REPLIES = st.recursive(PARTS, lambda part: st.lists(part, max_size=4) | st.dictionaries(st.binary(), part, max_size=2))
ENDPOINTS = st.lists(
    st.sampled_from([b"10.0.0.1", b"::1", b"", b"a..b", b"\xff", b"a b", b"6379", b"0", b"x", b"-1"]) | REPLIES,
    max_size=3,
)


@given(REPLIES | st.lists(st.tuples(PARTS, PARTS, ENDPOINTS).map(list), max_size=4))
def test_views_of_a_cluster(reply: Any) -> None:
    """Each slot occurs once at most, and each endpoint can be connected to."""
    try:
        found = masters(reply, QUERIED)
    except UnexpectedReply:
        return
    slots = [slot for served, _ in found for slot in served]
    assert len(set(slots)) == len(slots) == count_slots(found)
    assert set(slots) <= set(range(SLOTS))
    assert all(Endpoint.parse(endpoint.host, str(endpoint.port)) == endpoint for _, endpoint in found)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"",
        7,
        [7],
        [[0, 1]],
        [[0, 1, []]],
        [[0, 1, [b"host"]]],
        [[0, 1, [b"host", b"6379"]]],
        [[0, 1, [b"host", 0]]],
        [[0, 1, [b"host", 65_536]]],
        [[0, 1, [7, 6379]]],
        [[0, 1, [b"\xff", 6379]]],
        [[0, 1, [b"a..b", 6379]]],
        [[0, 1, [b"a\x00b", 6379]]],
        [[0, 1, [b"a" * 64, 6379]]],
        [[1, 0, [b"host", 6379]]],
        [[-1, 1, [b"host", 6379]]],
        [[0, SLOTS, [b"host", 6379]]],
        [[0, 5, [b"host", 6379]], [5, 9, [b"host", 6379]]],
    ],
)
def test_odd_views_of_a_cluster(reply: Any) -> None:
    """Such a view counts as none, so that no slot gets a node that does not exist."""
    with pytest.raises(UnexpectedReply):
        masters(reply, QUERIED)


@given(REPLIES | st.lists(st.sampled_from([b"config-epoch", b"1", b"x", 1, None]), max_size=4), REPLIES | ENDPOINTS)
def test_reports_of_a_sentinel(facts: Any, endpoint: Any) -> None:
    """A report has an epoch and an endpoint that can be connected to."""
    try:
        report = _report(facts, endpoint)
    except UnexpectedReply:
        return
    assert Endpoint.parse(report.endpoint.host, str(report.endpoint.port)) == report.endpoint


def test_a_report_is_read_by_names() -> None:
    """A value that equals the name of a field is not taken for it."""
    facts = [b"name", b"config-epoch", b"config-epoch", b"3"]
    assert _report(facts, [b"::1", b"6379"]) == ReportedMaster(3, Endpoint("::1", 6379))


@given(REPLIES | st.lists(st.sampled_from([b"used_memory:1", b"expired_keys:x", b"evicted_keys:0", b"db0:keys"])))
def test_odd_infos(reply: Any) -> None:
    """Without the numbers that are needed there are no stats."""
    info = b"\r\n".join(reply) if isinstance(reply, list) and {*map(type, reply)} == {bytes} else reply
    with pytest.raises(UnexpectedReply):
        parse_info(info, 0)


@given(st.text() | st.from_regex(r"(MOVED|ASK) [0-9]{1,5} .*", fullmatch=True))
def test_any_error_reply_is_a_store_error(text: str) -> None:
    """Redirects lead to an endpoint that can be connected to."""
    error = store_error(TAKE, hiredis.ReplyError(text))
    assert isinstance(error, StoreError)
    if isinstance(error, MovedRedirect):
        assert Endpoint.parse(error.host, str(error.port)) == (error.host, error.port)


@pytest.mark.parametrize(
    ("text", "address"),
    [("3999 10.0.0.1:6381", ("10.0.0.1", 6381)), ("3999 :6381", ("?", 6381)), ("3999 ::1:6381", ("::1", 6381))],
)
def test_redirects(text: str, address: tuple[str, int]) -> None:
    """The last colon is before the port; without a host the node is at the host that was asked."""
    for code, kind in (("MOVED", MovedRedirect), ("ASK", AskRedirect)):
        error = store_error(TAKE, hiredis.ReplyError(f"{code} {text}"))
        assert type(error) is kind
        assert (error.host, error.port) == address


@pytest.mark.parametrize(
    "text", ["", "3999", "3999 host", "3999 host:", "3999 host:x", "3999 h:0", "3999 h:65536", "1 a..b:1"]
)
def test_redirects_to_nowhere_are_rejections(text: str) -> None:
    """Nothing was executed, so the command may be sent again once the topology is refreshed."""
    for code in ("MOVED", "ASK"):
        assert type(store_error(TAKE, hiredis.ReplyError(f"{code} {text}"))) is NotExecuted
