"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07)."""

import re

from messaging_api.errors import InvalidRequest
from messaging_api.web.types import Request

_KEY = re.compile(rb"[!-~]{22,255}")
"""22 characters of base64url hold 128 bits. What a key protects in the store is only as hard to guess as the key."""


def idempotency_key(request: Request) -> bytes | None:
    """Return the key of a request, None without one. Raises InvalidRequest."""
    key = request.headers.get(b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(
            "Idempotency-Key must be 22 to 255 printable ASCII characters, no spaces, chosen at random. Send a UUID."
        )
    return key
