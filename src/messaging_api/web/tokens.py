"""Who may create: those with one of the bearer tokens (RFC 6750) whose hashes the settings hold.

A token is 256 random bits, so its plain SHA-256 cannot be turned back by guessing: a slow hash protects what people
choose, and would only make each request slow.
"""

import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from messaging_api.errors import Unauthorized

_BEARER = re.compile(rb"bearer +([\w.~+/-]{1,200}=*)", re.IGNORECASE | re.ASCII)


def new_token() -> tuple[str, str]:
    """A token, and the hash that the settings get."""
    token = secrets.token_urlsafe(32)
    return token, sha256(token.encode()).hexdigest()


class Tokens:
    """Knows tokens by `hashes`, each the SHA-256 in hex. Without any, everybody may create."""

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self._hashes = [bytes.fromhex(one) for one in hashes]

    def check(self, authorization: bytes | None) -> None:
        """Look at the Authorization header. Raises Unauthorized; takes the same time for all that are wrong."""
        if not self._hashes:
            return
        found = _BEARER.fullmatch(authorization or b"")
        given = sha256(found[1] if found else b"").digest()
        known = [compare_digest(given, one) for one in self._hashes]
        if found is None or not any(known):
            raise Unauthorized(sent=authorization is not None)
