"""The client, scheme and host of a request: only the headers that trusted proxies write count."""

import time
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.core.ratelimit import client_key
from messaging_api.server import head
from messaging_api.urls import is_authority
from messaging_api.web.forwarded import FORWARDING_HEADERS
from messaging_api.web.trusted_proxies import TrustedProxies
from messaging_api.web.types import Request
from tests.support.requests import request_to

PROXY = "10.0.0.1"
NETWORKS = [ip_network("10.0.0.0/8"), ip_network("2001:db8:aa::/48")]
X_FORWARDED, FORWARDED = (TrustedProxies(NETWORKS, header) for header in FORWARDING_HEADERS)
Fields = list[tuple[str, str]]


def resolved(proxies: TrustedProxies, *fields: tuple[str, str], peer: str = PROXY) -> Request:
    """Return an http request to `inner` with these header fields from `peer`, resolved."""
    received: head.Headers = {}
    for name, value in fields:
        head.add(received, name.lower().encode(), value.encode("latin-1"))
    request = request_to("/", headers=received)
    request.peer, request.secure, request.host = peer, False, b"inner"
    proxies.resolve(request)
    assert request.client.key == client_key(request.client.address)
    return request


def xff(*values: str) -> Fields:
    return [("X-Forwarded-For", value) for value in values]


def forwarded(*values: str) -> Fields:
    return [("Forwarded", value) for value in values]


@pytest.mark.parametrize(
    ("proxies", "headers", "expected"),
    [
        (X_FORWARDED, [], PROXY),
        (X_FORWARDED, xff("203.0.113.7"), "203.0.113.7"),
        (X_FORWARDED, xff("198.51.100.1, 203.0.113.7"), "203.0.113.7"),
        (X_FORWARDED, xff("198.51.100.1, 203.0.113.7, 10.1.1.1,10.2.2.2"), "203.0.113.7"),
        (X_FORWARDED, xff("198.51.100.1", "203.0.113.7"), "203.0.113.7"),
        (X_FORWARDED, xff("10.1.1.1, 10.2.2.2"), "10.1.1.1"),
        (X_FORWARDED, xff("10.9.9.9, 203.0.113.7"), "203.0.113.7"),
        (X_FORWARDED, xff("203.0.113.7:4711"), "203.0.113.7"),
        (X_FORWARDED, xff("2001:db8::7"), "2001:db8::7"),
        (X_FORWARDED, xff("[2001:db8::7]:4711, 2001:db8:aa::1"), "2001:db8::7"),
        (X_FORWARDED, xff("203.0.113.7, ::ffff:10.1.1.1"), "203.0.113.7"),
        (FORWARDED, forwarded("for=203.0.113.7"), "203.0.113.7"),
        (FORWARDED, forwarded('For="[2001:db8::7]:4711";proto=https;by=10.0.0.1'), "2001:db8::7"),
        (FORWARDED, forwarded("for=198.51.100.1, for=203.0.113.7;host=x, for=10.1.1.1"), "203.0.113.7"),
        (FORWARDED, forwarded("for=198.51.100.1", 'for="203.0.113.7:1"'), "203.0.113.7"),
        (FORWARDED, forwarded(r'for="203.0.113\.7"'), "203.0.113.7"),
    ],
)
def test_client_is_the_rightmost_untrusted_hop(proxies: TrustedProxies, headers: Fields, expected: str) -> None:
    """In either header, on one line or several."""
    assert resolved(proxies, *headers).client.address == expected


@pytest.mark.parametrize(
    ("proxies", "headers"),
    [
        *(
            (X_FORWARDED, xff(value))
            for value in (
                "",
                "203.0.113.7,",
                "unknown",
                "203.0.113.7, evil",
                "203.0.113.7\t\x0b",
                "203.0.113.256",
                "203.0.113.7:99999999",
                "٢٠٣.0.113.7".encode().decode("latin-1"),
                "fe80::1%eth0",
                "[203.0.113.7",
            )
        ),
        *(
            (FORWARDED, forwarded(value))
            for value in (
                "for=unknown",
                "for=_hidden",
                "proto=https",
                "for=203.0.113.7;for=203.0.113.8",
                "for=203.0.113.7;For=203.0.113.7",
                "for=203.0.113.7, proto=https",
                'for="203.0.113.7',
                "for = 203.0.113.7",
                "for=203.0.113.7;",
                'for=_a;by="x;for=203.0.113.7;"',
            )
        ),
    ],
)
def test_malformed_headers_leave_the_peer(proxies: TrustedProxies, headers: Fields) -> None:
    """A malformed or hidden address does not change the client."""
    assert resolved(proxies, *headers).client.address == PROXY


IN_FRONT = ["x", 'for="', '"', "for=9.9.9.9;x", 'by="a,', ",,", "for=9.9.9.9, for=198.51.100.1", "a" * 9000]


@pytest.mark.parametrize("text", IN_FRONT)
@pytest.mark.parametrize(("proxies", "own"), [(X_FORWARDED, "203.0.113.7"), (FORWARDED, "for=203.0.113.7;proto=https")])
def test_what_the_client_wrote_in_front_changes_nothing(proxies: TrustedProxies, own: str, text: str) -> None:
    """A proxy adds its part to the right of whatever a client sent, which may be malformed."""
    written = (xff if proxies is X_FORWARDED else forwarded)(f"{text}, {own}")
    assert resolved(proxies, *written).client.address == "203.0.113.7"


@pytest.mark.parametrize("proxies", [X_FORWARDED, FORWARDED])
@pytest.mark.parametrize("text", [",", "1,", "for=10.1.1.1,", '"'])
def test_long_headers_cost_no_more_than_short_ones(proxies: TrustedProxies, text: str) -> None:
    """Only the end of a header is examined, so a client that writes 30 times as much gains nothing."""

    def cost(length: int) -> float:
        written = (text * length)[:length]
        begin = time.process_time()
        for _ in range(20):
            resolved(proxies, *xff(written), *forwarded(written))
        return time.process_time() - begin

    cost(2_000)
    assert cost(60_000) < 8 * min(cost(2_000) for _ in range(3))


ALL = [
    *xff("203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "x.example"),
    *forwarded("for=203.0.113.8;proto=https;host=f.example"),
]


@pytest.mark.parametrize(
    ("proxies", "client", "host"),
    [(X_FORWARDED, "203.0.113.7", b"x.example"), (FORWARDED, "203.0.113.8", b"f.example")],
)
@pytest.mark.parametrize("other", ["nonsense", "203.0.113.9", "for=203.0.113.9;proto=http;host=evil"])
def test_only_the_configured_headers_count(proxies: TrustedProxies, client: str, host: bytes, other: str) -> None:
    """The headers that the proxies do not write may be the client's own: they change nothing, whatever they are."""
    theirs = FORWARDING_HEADERS["x-forwarded-for" if proxies is X_FORWARDED else "forwarded"].names
    own = [field for field in ALL if field[0].lower().encode() in theirs]
    for fields in (ALL, own, [*own, *((field[0], other) for field in ALL if field not in own)]):
        request = resolved(proxies, *fields)
        assert (request.client.address, request.secure, request.host) == (client, True, host)


@pytest.mark.parametrize("proxies", [X_FORWARDED, FORWARDED, TrustedProxies()])
@pytest.mark.parametrize("peer", ["198.51.100.9", "2001:db8::9", "::ffff:198.51.100.9", ""])
def test_untrusted_peer_is_the_client(proxies: TrustedProxies, peer: str) -> None:
    """Its headers do not matter. A local socket has no address, so all its peers are one client."""
    request = resolved(proxies, *ALL, peer=peer)
    assert (request.client.address, request.secure, request.host) == (peer, False, b"inner")


def test_trusted_peer_may_be_ipv4_mapped() -> None:
    """A socket for both families shows an IPv4 peer as IPv4-mapped IPv6."""
    assert resolved(X_FORWARDED, *xff("203.0.113.7"), peer=f"::ffff:{PROXY}").client.address == "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "headers", "scheme", "host"),
    [
        (X_FORWARDED, [("X-Forwarded-Proto", "HTTPS")], "https", b"inner"),
        (X_FORWARDED, [("X-Forwarded-Proto", "http, https ")], "https", b"inner"),
        (X_FORWARDED, [("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")], "https", b"inner"),
        (X_FORWARDED, [("X-Forwarded-Proto", "https,http")], "http", b"inner"),
        (X_FORWARDED, [("X-Forwarded-Host", "evil.example, msg.example:8443")], "http", b"msg.example:8443"),
        (X_FORWARDED, [("X-Forwarded-Host", "[2001:db8::1]:8443")], "http", b"[2001:db8::1]:8443"),
        (FORWARDED, forwarded("proto=HTTPS;host=msg.example"), "https", b"msg.example"),
        (FORWARDED, forwarded('for=_a;proto=https;host="msg.example:8443"'), "https", b"msg.example:8443"),
        (FORWARDED, forwarded("proto=http;host=evil, for=203.0.113.7;proto=https;host=pub"), "https", b"pub"),
        (
            FORWARDED,
            forwarded("for=203.0.113.7;proto=https;host=pub, for=10.1.1.1;proto=http;host=in"),
            "https",
            b"pub",
        ),
    ],
)
def test_scheme_and_host_are_those_that_the_client_used(
    proxies: TrustedProxies, headers: Fields, scheme: str, host: bytes
) -> None:
    """Of X-Forwarded-Proto and -Host the last element counts, of Forwarded the element that names the client."""
    request = resolved(proxies, *headers)
    assert ("https" if request.secure else "http", request.host) == (scheme, host)


BAD_HOSTS = ["", "a b", "a/b", "a@b", "ä", "a:123456", "a:", "[::1", "evil.example?x", 'a"b', "a\\b", "a" * 254, "a#"]


@pytest.mark.parametrize("scheme", ["", "ftp", "https:", "https://", "javascript", "http s", "on", "\xa0https"])
@pytest.mark.parametrize("host", BAD_HOSTS)
def test_malformed_schemes_and_hosts_count_as_missing(scheme: str, host: str) -> None:
    """The scheme is then that of the connection, and the host that of the Host header."""
    quoted = host.replace("\\", "\\\\").replace('"', '\\"')
    for proxies, fields in (
        (X_FORWARDED, [("X-Forwarded-Proto", f"https, {scheme}"), ("X-Forwarded-Host", f"evil, {host}")]),
        (FORWARDED, forwarded(f'for=203.0.113.7;proto="{scheme}";host="{quoted}"')),
    ):
        request = resolved(proxies, *fields)
        assert (request.secure, request.host) == (False, b"inner")


@given(
    st.sampled_from([X_FORWARDED, FORWARDED]),
    st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in ALL]),
            st.text(st.characters(max_codepoint=255))
            | st.from_regex(r"((for|proto|host)=[\w.:]*[;,] ?)*", fullmatch=True).map(lambda text: text[:300]),
        )
    ),
)
def test_any_bytes_give_a_valid_client_and_host(proxies: TrustedProxies, fields: Any) -> None:
    """Any headers lead to an address and a host, and both are valid."""
    request = resolved(proxies, *((name, value.encode("utf-8")[:400].decode("latin-1")) for name, value in fields))
    assert client_key(request.client.address) != b"-"
    assert is_authority(request.host)


def test_hostile_headers_are_parsed_in_linear_time() -> None:
    """A header of 64 KiB is parsed in one pass, without backtracking."""
    for value in ('for="' + "\\" * 65_000, "for=" + "a;" * 30_000, "," * 65_000, 'a="' + '"' * 65_000, " " * 65_000):
        for proxies in (X_FORWARDED, FORWARDED):
            request = resolved(proxies, *((name, value) for name, _ in ALL))
            assert (request.client.address, request.secure, request.host) == (PROXY, False, b"inner")
