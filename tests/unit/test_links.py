"""Links are found in what people paste, by the cases that `tests/browser/test_links.py` runs on the page's script."""

import json
import re
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api.client import BadLink, Key, Link
from messaging_api.client.link_search import MAX_TEXT, Kind, find_link

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "links.json").read_text())


def found(text: str, kind: Kind) -> str:
    """Return the link in a text, or the reason why there is none."""
    try:
        link = Link.parse(text, kind)
    except BadLink as error:
        return error.reason
    return link.with_key(link.key)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_links_are_found_in_pasted_text(case: dict[str, str]) -> None:
    """A damaged link is repaired, or the reason is given why it cannot be."""
    assert found(case["text"], "receipt" if case["kind"] == "receipt" else "msg") == case.get("link", case.get("error"))


def test_too_long_text_is_not_searched() -> None:
    """A text of megabytes is not a link, and costs no time."""
    with pytest.raises(BadLink, match="longer than 16384 characters"):
        find_link("x" * (MAX_TEXT + 1), "msg")


def test_errors_do_not_repeat_the_text() -> None:
    """The text may contain a key."""
    for case in CASES:
        if "error" in case:
            with pytest.raises(BadLink) as caught:
                Link.parse(case["text"], case["kind"])
            assert not any(word in str(caught.value) for word in re.findall("[0-9A-Za-z_-]{12,}", case["text"]))


IDS = st.uuids().map(str)
KEYS = st.none() | st.builds(Key, st.binary(min_size=32, max_size=32), st.booleans())
SERVERS = st.sampled_from(
    ["https://msg.example", "http://localhost:5000", "http://[fd07::1]:80", "https://a.b_c.example/s/%41/x.y"]
)
LINKS = st.builds(lambda server, name, key: Link(f"{server}/msg/{name}", key), SERVERS, IDS, KEYS)


def whole(link: Link) -> str:
    return link.with_key(link.key)


def split(text: str, at: int, between: str) -> str:
    """Put a line break or another text into the id or the key, and not before the mark of a password."""
    low = text.rindex("/") + 1
    at = low + at % (len(text.removesuffix(".p")) - low)
    return text[:at] + between + text[at:]


WORDS = st.text("aZ 09.,:;()!?-'\"é你\n\t", max_size=40)
BEFORE = st.builds(
    "{}{}".format, WORDS, st.sampled_from(["", " ", "(", "<", '"', "link:", "\ufeff", "> ", "«", "\r\n"])
)
BEHIND = st.builds(
    "{}{}".format, st.sampled_from([" ", ".", ",", ")", ">", '"', "…", "»", "\n\n", "\u200b ", "? ", "!"]), WORDS
)
BREAKS = st.sampled_from(["\n", "\r\n", "=\r\n", " \n", "\n> ", "\r\n> > ", "\u200b", "\u00ad", "\u2060"])
SAFE = "https://eur02.safelinks.protection.outlook.com/?url={}&data=05%7C02%7Cbob%40x.example&reserved=0"
QUERIES = st.sampled_from(["?utm_source=mail", "?a=b&c=%7C", "/?x", "&utm_id=7", "/"])


def with_query(link: Link, query: str) -> str:
    return f"{link.address}{query}{whole(link).removeprefix(link.address)}"


WRAPPINGS = st.one_of(
    st.builds(lambda before, behind: lambda link: f"{before}{whole(link)}{behind}", BEFORE, BEHIND),
    st.builds(lambda at, between: lambda link: f"\n{split(whole(link), at, between)}\n", st.integers(0, 99), BREAKS),
    st.builds(lambda query: lambda link: with_query(link, query), QUERIES),
    st.builds(lambda query: lambda link: SAFE.format(quote(with_query(link, query), safe="")), QUERIES),
    st.just(lambda link: SAFE.format(quote(SAFE.format(quote(whole(link), safe="")), safe=""))),
    st.builds(
        lambda code, behind: lambda link: whole(link).replace("#", code) + behind,
        st.sampled_from(["%23", "%2523", "/%23", "/#"]),
        BEHIND,
    ),
    st.just(
        lambda link: (
            link.address.replace(link.address[-36:], link.address[-36:].upper()) + whole(link)[len(link.address) :]
        )
    ),
)


@given(link=LINKS, wrap=WRAPPINGS)
def test_any_link_in_any_wrapping_comes_back_unchanged(link: Link, wrap: object) -> None:
    """No repair changes a link."""
    assert callable(wrap)
    assert Link.parse(wrap(link), "msg") == link


@given(link=LINKS)
def test_link_alone_is_unchanged(link: Link) -> None:
    """A link without damage is taken as it is, to the letter."""
    assert whole(Link.parse(whole(link), "msg")) == whole(link)


PIECES = [
    *("https://", "a.example", "msg.example", "/", "/msg/", "/receipt/", "#", "%23", "%2523", "?url=", "&", ".", ".p"),
    *("\n", " ", "\u200b", "%2F", "A" * 43, "0" * 43, "-", "0b0e7c8e-2f5c-4f5e-9d0a-2b1d6f0c9a11", "0b0e7c8e", "x"),
]
JUMBLES = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join)
GAPS = st.sets(st.integers(0, 110), max_size=4)


def without(link: Link, gaps: set[int]) -> str:
    return "".join(char for at, char in enumerate(whole(link)) if at not in gaps)


@given(text=JUMBLES | st.builds(without, LINKS, GAPS))
def test_nothing_is_invented(text: str) -> None:
    """Every part of the link that is found is literally in the text, after decoding and without breaks."""
    result = found(text, "msg")
    if "://" not in result:
        return
    plain = text
    for _ in range(5):
        plain = unquote(plain)
    plain = re.sub("[\u200b\u00ad\ufeff]|=?[ \t]*\r?\n[> \t]*", "", plain)
    address, _, fragment = result.partition("#")
    decoded = unquote(unquote(address.removeprefix("https://").removeprefix("http://"))).lower()
    assert decoded in plain.lower()
    assert fragment in plain
