"""The proxies in the environment: which request takes which, and what is said about a bad one."""

import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.client import BadProxy
from messaging_api.client.proxies import Proxies

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("exceptions", "direct", "proxied"),
    [
        ("::1", ["http://[::1]:5000"], ["http://[::2]", "http://127.0.0.1"]),
        ("[::1]", ["http://[::1]"], ["http://[::2]"]),
        ("[::1]:5000", ["http://[::1]:5000"], ["http://[::1]"]),
        ("fe80::/10, fd07:b51a:cc66:a::/64", ["http://[fd07:b51a:cc66:a::7]", "http://[fe80::1]"], ["http://[fd08::1]"]),
        ("10.0.0.0/8", ["http://10.1.2.3:80"], ["http://11.0.0.1", "http://10.0.0.0.example"]),
        ("127.0.0.1", ["https://127.0.0.1"], ["http://127.0.0.11"]),
        ("localhost", ["http://localhost:5000", "http://LOCALHOST"], ["http://notlocalhost"]),
        ("msg.example", ["https://msg.example", "https://a.msg.example"], ["https://amsg.example", "https://msg.example.org"]),
        (".msg.example", ["https://a.msg.example"], ["https://b.example"]),
        ("*.msg.example", ["https://a.msg.example"], ["https://b.example"]),
        ("https://msg.example", ["https://msg.example"], ["https://b.example"]),
        ("msg.example:8443", ["https://msg.example:8443"], ["https://msg.example"]),
        ("a.example b.example", ["https://a.example", "https://b.example"], ["https://c.example"]),
        ("*", ["https://a.example", "http://[::1]"], []),
        ("", [], ["https://a.example"]),
        (",:, ,[],/,[::7,::1/999,*.", [], ["https://a.example", "http://[::1]"]),
    ],
)  # fmt: skip
def test_exceptions(exceptions: str, direct: list[str], proxied: list[str]) -> None:
    """NO_PROXY has names, addresses and networks of both kinds. What means nothing is ignored."""
    proxies = Proxies({"http": PROXY, "https": PROXY, "no": exceptions})
    assert {url: proxies.proxy_for(url) for url in [*direct, *proxied]} == {
        **dict.fromkeys(direct),
        **dict.fromkeys(proxied, PROXY),
    }


def test_proxy_of_the_scheme_goes_before_that_of_all() -> None:
    """ALL_PROXY is for the schemes without a proxy. An empty value is none, and http:// may be missing."""
    proxies = Proxies({"https": "one.example:3128", "http": "", "all": "http://two.example"})
    assert proxies.proxy_for("https://msg.example") == "http://one.example:3128"
    assert proxies.proxy_for("http://msg.example") == "http://two.example"
    assert Proxies({}).proxy_for("http://msg.example") is None


def test_bad_proxy_matters_only_where_it_is_used() -> None:
    """Desktops set ALL_PROXY=socks://… beside proxies that work."""
    proxies = Proxies({"https": PROXY, "all": "socks://127.0.0.1:1080", "no": "localhost"})
    assert proxies.proxy_for("https://msg.example") == PROXY
    assert proxies.proxy_for("http://localhost") is None
    with pytest.raises(BadProxy, match=r"^ALL_PROXY is not the address of a proxy"):
        proxies.proxy_for("http://msg.example")


@pytest.mark.parametrize(
    "proxy", ["ftp://x", "http://", "http://[::1", "http://x:99999", "http://x:0", "a b", "http://é"]
)
def test_bad_proxies(proxy: str) -> None:
    """The error names the variable, and not the value, which may contain a password."""
    with pytest.raises(BadProxy) as caught:
        Proxies({"http": proxy}).proxy_for("http://msg.example")
    assert str(caught.value) == "HTTP_PROXY is not the address of a proxy, such as http://proxy.example:3128."


@given(proxy=st.text() | st.text("htps5:/.?#@[]%1 \t").map("http://".__add__), exceptions=st.text())
def test_any_proxy_can_be_used_or_raises_bad_proxy(proxy: str, exceptions: str) -> None:
    """No value makes the client fail in another way."""
    with contextlib.suppress(BadProxy):
        found = Proxies({"http": proxy, "no": exceptions}).proxy_for("http://msg.example")
        httpx.Client(proxy=found, trust_env=False).close()
