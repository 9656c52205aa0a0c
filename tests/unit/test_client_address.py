"""Who is asking: believed is only what a trusted proxy wrote."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.core.ratelimit import client_key
from messaging_api.server import head
from messaging_api.web.client_address import ClientAddresses

PROXY = "10.0.0.1"
TRUSTING = ClientAddresses([ip_network("10.0.0.0/8"), ip_network("2001:db8:aa::/48")])


def told(*headers: tuple[str, str], peer: str = PROXY, clients: ClientAddresses = TRUSTING) -> str:
    """The address of the client of a request with these headers."""
    received: head.Headers = {}
    for name, value in headers:
        head.add(received, name.lower().encode(), value.encode("latin-1"))
    client = clients.of(peer, received)
    assert client.key == client_key(client.address)
    return client.address


def xff(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", value) for value in values]


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("Forwarded", value) for value in values]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], PROXY),
        (xff("203.0.113.7"), "203.0.113.7"),
        (xff("198.51.100.1, 203.0.113.7"), "203.0.113.7"),
        (xff("198.51.100.1, 203.0.113.7, 10.1.1.1,10.2.2.2"), "203.0.113.7"),
        (xff("198.51.100.1", "203.0.113.7"), "203.0.113.7"),
        (xff("10.1.1.1, 10.2.2.2"), "10.1.1.1"),
        (xff("203.0.113.7:4711"), "203.0.113.7"),
        (xff("2001:db8::7"), "2001:db8::7"),
        (xff("[2001:db8::7]:4711, 2001:db8:aa::1"), "2001:db8::7"),
        (xff("203.0.113.7, ::ffff:10.1.1.1"), "203.0.113.7"),
        (forwarded("for=203.0.113.7"), "203.0.113.7"),
        (forwarded('For="[2001:db8::7]:4711";proto=https;by=10.0.0.1'), "2001:db8::7"),
        (forwarded("for=198.51.100.1, for=203.0.113.7;host=x, for=10.1.1.1"), "203.0.113.7"),
        (forwarded("for=198.51.100.1", 'for="203.0.113.7:1"'), "203.0.113.7"),
        (forwarded(r'for="203.0.113\.7"'), "203.0.113.7"),
        ([*xff("203.0.113.7"), *forwarded("for=203.0.113.7")], "203.0.113.7"),
    ],
)
def test_what_a_trusted_proxy_says(headers: list[tuple[str, str]], expected: str) -> None:
    """The rightmost hop that is no trusted proxy, in either header, on one line or several."""
    assert told(*headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        xff(""),
        xff("203.0.113.7,"),
        xff("unknown"),
        xff("203.0.113.7, evil"),
        xff("203.0.113.7\t\x0b"),
        xff("203.0.113.256"),
        xff("203.0.113.7:99999999"),
        xff("٢٠٣.0.113.7".encode().decode("latin-1")),
        xff("fe80::1%eth0"),
        xff("[203.0.113.7"),
        forwarded("for=unknown"),
        forwarded("for=_hidden"),
        forwarded("proto=https"),
        forwarded("for=203.0.113.7;for=203.0.113.8"),
        forwarded("for=203.0.113.7, proto=https"),
        forwarded('for="203.0.113.7'),
        forwarded("for = 203.0.113.7"),
        forwarded("for=203.0.113.7;"),
        forwarded('for=_a;by="x;for=203.0.113.7;"'),
        [*xff("203.0.113.7"), *forwarded("for=198.51.100.1")],
        [*xff("203.0.113.7"), *forwarded("nonsense")],
    ],
)
def test_what_cannot_be_understood_leaves_the_peer(headers: list[tuple[str, str]]) -> None:
    """Nothing malformed, hidden or contradictory makes another client."""
    assert told(*headers) == PROXY


@pytest.mark.parametrize("headers", [xff("203.0.113.7"), forwarded("for=203.0.113.7"), xff("10.0.0.1")])
@pytest.mark.parametrize("peer", ["198.51.100.9", "2001:db8::9", "::ffff:198.51.100.9"])
def test_a_peer_nobody_trusts_is_itself(headers: list[tuple[str, str]], peer: str) -> None:
    """Whatever it says."""
    assert told(*headers, peer=peer) == peer
    assert told(*headers, peer=PROXY, clients=ClientAddresses()) == PROXY


def test_a_trusted_peer_may_be_written_as_ipv6() -> None:
    """A socket for both families shows an IPv4 peer as IPv4-mapped IPv6."""
    assert told(*xff("203.0.113.7"), peer=f"::ffff:{PROXY}") == "203.0.113.7"


def test_a_local_socket_has_no_address() -> None:
    """All its peers are one client."""
    assert told(*xff("203.0.113.7"), peer="") == ""


@given(
    st.lists(st.tuples(st.sampled_from(["Forwarded", "X-Forwarded-For"]), st.text(st.characters(max_codepoint=255))))
)
def test_any_bytes_make_some_client(headers: list[tuple[str, str]]) -> None:
    """Whatever the headers hold, there is an address, and it is one."""
    assert client_key(told(*headers)) != b"-"


def test_hostile_headers_take_no_time() -> None:
    """A header of 64 KiB is looked through once: no pattern runs away with it."""
    for value in ('for="' + "\\" * 65_000, "for=" + "a;" * 30_000, "," * 65_000, 'a="' + '"' * 65_000, " " * 65_000):
        assert told(*forwarded(value)) == PROXY
        assert told(*xff(value)) == PROXY


def test_a_trusted_hop_in_front_is_not_enough() -> None:
    """A client that writes a trusted address left of its own is still itself."""
    assert told(*xff("10.9.9.9, 203.0.113.7")) == "203.0.113.7"
