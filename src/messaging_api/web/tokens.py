"""Bearer tokens (RFC 6750), which allow clients to create messages. The settings contain their hashes.

A token is 256 random bits, so it cannot be guessed from its plain SHA-256. A slow hash protects passwords that people
choose; here it would only slow down each request.
"""

import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from messaging_api.errors import Unauthorized

_BEARER = re.compile(rb"bearer +([\w.~+/-]{1,200}=*)", re.IGNORECASE | re.ASCII)


def new_token() -> tuple[str, str]:
    """Return a new token, and its hash for the settings."""
    token = secrets.token_urlsafe(32)
    return token, sha256(token.encode()).hexdigest()


class Tokens:
    """The valid tokens, as their `hashes`: SHA-256 in hex. Without hashes no token is required."""

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self._hashes = [bytes.fromhex(one) for one in hashes]

    def check(self, authorization: bytes | None) -> bytes | None:
        """Return the hash of the token in the Authorization header; None if no token is required.

        Raises Unauthorized, after the same time for all invalid tokens.
        """
        if not self._hashes:
            return None
        found = _BEARER.fullmatch(authorization or b"")
        given = sha256(found[1] if found else b"").digest()
        known = [compare_digest(given, one) for one in self._hashes]
        if found is None or not any(known):
            raise Unauthorized(sent=authorization is not None)
        return given
