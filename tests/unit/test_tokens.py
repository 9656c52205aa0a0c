"""Bearer tokens, recognized by their hashes."""

import hmac
import re
from hashlib import sha256

import pytest

from messaging_api.errors import Unauthorized
from messaging_api.web import tokens
from messaging_api.web.tokens import Tokens, new_token

TOKEN, HASH = new_token()
OTHER, OTHER_HASH = new_token()


def test_token_is_256_random_bits() -> None:
    """It is in the alphabet of bearer tokens, different each time, and its hash is a plain SHA-256."""
    assert re.fullmatch("[A-Za-z0-9_-]{43}", TOKEN)
    assert TOKEN != OTHER
    assert sha256(TOKEN.encode()).hexdigest() == HASH


def filled(template: str) -> str:
    """Return a header with tokens for {TOKEN} and the like; test names must not change from run to run."""
    return template.format(TOKEN=TOKEN, CUT=TOKEN[:-1], HASH=HASH, OTHER=OTHER)


@pytest.mark.parametrize("header", ["Bearer {TOKEN}", "bearer {TOKEN}", "BEARER   {TOKEN}", "Bearer {OTHER}"])
def test_valid_token_is_accepted(header: str) -> None:
    """Any of the tokens works; the scheme is in any case (RFC 9110, section 11.1)."""
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
def test_invalid_token_is_rejected(header: str) -> None:
    """Only a whole known token is valid; its hash is not."""
    with pytest.raises(Unauthorized) as told:
        Tokens([HASH]).check(filled(header).encode("latin-1"))
    assert told.value.sent


def test_missing_header_differs_from_a_wrong_token() -> None:
    """RFC 6750 requires different responses."""
    with pytest.raises(Unauthorized) as told:
        Tokens([HASH]).check(None)
    assert not told.value.sent


def test_without_hashes_no_token_is_required() -> None:
    """Without hashes nothing is checked."""
    Tokens().check(None)
    Tokens().check(b"Bearer x")


def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any header is compared with all hashes by `hmac.compare_digest`, whichever of them matches."""
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
