"""Who may create, known by the hash of a token."""

import hmac
import re
from hashlib import sha256

import pytest

from messaging_api.errors import Unauthorized
from messaging_api.web import tokens
from messaging_api.web.tokens import Tokens, new_token

TOKEN, HASH = new_token()
OTHER, OTHER_HASH = new_token()


def test_a_token_is_256_random_bits() -> None:
    """In the alphabet of a bearer token, another each time, and its hash is the plain SHA-256 that anyone can check."""
    assert re.fullmatch("[A-Za-z0-9_-]{43}", TOKEN)
    assert TOKEN != OTHER
    assert sha256(TOKEN.encode()).hexdigest() == HASH


def filled(template: str) -> str:
    """Return a header with tokens for {TOKEN} and the like; test names must not change from run to run."""
    return template.format(TOKEN=TOKEN, CUT=TOKEN[:-1], HASH=HASH, OTHER=OTHER)


@pytest.mark.parametrize("header", ["Bearer {TOKEN}", "bearer {TOKEN}", "BEARER   {TOKEN}", "Bearer {OTHER}"])
def test_those_who_may(header: str) -> None:
    """Any of the tokens; the scheme's name in any case (RFC 9110, section 11.1)."""
    Tokens([HASH, OTHER_HASH]).check(filled(header).encode())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "{TOKEN}",
        "Bearer{TOKEN}",
        "Basic {TOKEN}",
        "Bearer {CUT}",
        "Bearer {TOKEN}x",
        "Bearer {TOKEN} ",
        "Bearer {TOKEN},",
        "Bearer {TOKEN}\n",
        "Bearer {HASH}",
        "Bearer {OTHER}",
        "Bearer " + "x" * 10_000,
        "Bearer \xff\xfe",
    ],
)
def test_those_who_may_not(header: str) -> None:
    """Nothing but a whole token that is known, and the hash is none."""
    with pytest.raises(Unauthorized) as told:
        Tokens([HASH]).check(filled(header).encode("latin-1"))
    assert told.value.sent


def test_without_a_header() -> None:
    """It is told apart from a wrong one, as RFC 6750 has it."""
    with pytest.raises(Unauthorized) as told:
        Tokens([HASH]).check(None)
    assert not told.value.sent


def test_without_tokens_everybody_may() -> None:
    """No hash, no check."""
    Tokens().check(None)
    Tokens().check(b"Bearer x")


def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent, and whichever hash it fits, all are compared, by `hmac.compare_digest`."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(tokens, "compare_digest", compare)
    known = Tokens([HASH, OTHER_HASH])
    for header in (TOKEN, OTHER, "wrong"):
        compared.clear()
        try:
            known.check(f"Bearer {header}".encode())
        except Unauthorized:
            assert header == "wrong"
        assert [b.hex() for _, b in compared] == [HASH, OTHER_HASH]
