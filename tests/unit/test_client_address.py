"""The address of the client: only headers of trusted proxies count."""

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
    """Return the address of the client of a request with these headers."""
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
def test_client_is_the_rightmost_untrusted_hop(headers: list[tuple[str, str]], expected: str) -> None:
    """Either header may be used, on one line or several."""
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
def test_malformed_headers_leave_the_peer(headers: list[tuple[str, str]]) -> None:
    """A malformed, hidden or contradictory header does not change the client."""
    assert told(*headers) == PROXY


@pytest.mark.parametrize("headers", [xff("203.0.113.7"), forwarded("for=203.0.113.7"), xff("10.0.0.1")])
@pytest.mark.parametrize("peer", ["198.51.100.9", "2001:db8::9", "::ffff:198.51.100.9"])
def test_untrusted_peer_is_the_client(headers: list[tuple[str, str]], peer: str) -> None:
    """Its headers do not matter."""
    assert told(*headers, peer=peer) == peer
    assert told(*headers, peer=PROXY, clients=ClientAddresses()) == PROXY


def test_trusted_peer_may_be_ipv4_mapped() -> None:
    """A socket for both families shows an IPv4 peer as IPv4-mapped IPv6."""
    assert told(*xff("203.0.113.7"), peer=f"::ffff:{PROXY}") == "203.0.113.7"


def test_local_peers_are_one_client() -> None:
    """A local socket has no address, so all its peers are one client."""
    assert told(*xff("203.0.113.7"), peer="") == ""


@given(
    st.lists(st.tuples(st.sampled_from(["Forwarded", "X-Forwarded-For"]), st.text(st.characters(max_codepoint=255))))
)
def test_any_bytes_give_a_valid_address(headers: list[tuple[str, str]]) -> None:
    """Any headers lead to an address, and it is valid."""
    assert client_key(told(*headers)) != b"-"


def test_hostile_headers_are_parsed_in_linear_time() -> None:
    """A header of 64 KiB is parsed in one pass, without backtracking."""
    for value in ('for="' + "\\" * 65_000, "for=" + "a;" * 30_000, "," * 65_000, 'a="' + '"' * 65_000, " " * 65_000):
        assert told(*forwarded(value)) == PROXY
        assert told(*xff(value)) == PROXY


def test_forged_trusted_hop_is_ignored() -> None:
    """A client that adds a trusted address left of its own is still the client."""
    assert told(*xff("10.9.9.9, 203.0.113.7")) == "203.0.113.7"
