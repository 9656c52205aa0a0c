"""Why a JSON body is not a message, in words for its sender. Only bodies that were rejected get here."""

import json
from math import inf
from typing import Any

from messaging_api.core.message import MAX_READS
from messaging_api.web.fields import ADD_FIELDS, FIELDS, missing, unknown
from messaging_api.web.http_errors import UnclearRequest
from messaging_api.web.options import TTL_FORMS
from messaging_api.web.timestamps import TIME_FORM

_EXPECTED = {
    "message": "a string",
    "ttl": TTL_FORMS,
    "expires_at": TIME_FORM,
    "reads": f"a whole number from 1 to {MAX_READS}",
}


def json_error(body: bytes) -> UnclearRequest:
    """Return the error for a body that is not the JSON of a message."""
    return _field_error(body) or UnclearRequest("The JSON does not describe a message.", ADD_FIELDS)


def _field_error(body: bytes) -> UnclearRequest | None:
    try:
        value = json.loads(_text(body), object_pairs_hook=tuple, parse_int=_integer, parse_constant=_no_number)
    except UnclearRequest as error:
        return error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return UnclearRequest(f"The body is not valid JSON: there is an error at {place}.", ADD_FIELDS)
    except (ValueError, RecursionError):
        return UnclearRequest("The body is not valid JSON.", ADD_FIELDS)
    if not isinstance(value, tuple):
        return UnclearRequest("The JSON must be an object with the field message.", ADD_FIELDS)
    return _error_of_pairs(value)


def _text(body: bytes) -> str:
    if not body:
        raise UnclearRequest("The body is empty.", ADD_FIELDS)
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        raise UnclearRequest("The JSON is in UTF-16. Send it in UTF-8.", ADD_FIELDS)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnclearRequest(f"The JSON is not valid UTF-8: byte {error.start + 1} is wrong.", ADD_FIELDS) from None


def _integer(digits: str) -> float:
    """Parse an integer; one that no option can be, and Python may refuse to parse, is infinite."""
    return int(digits) if len(digits) < 19 else inf


def _no_number(_name: str) -> float:
    raise ValueError


def _error_of_pairs(pairs: tuple[tuple[str, Any], ...]) -> UnclearRequest | None:
    seen: set[str] = set()
    for name, value in pairs:
        if name not in FIELDS:
            return unknown(name)
        if not _is_possible(name, value):
            return UnclearRequest(f"{name} must be {_EXPECTED[name]}.", ADD_FIELDS)
        if isinstance(value, str) and not value.isprintable() and _has_surrogate(value):
            return UnclearRequest(f"{name} contains half of a surrogate pair, which is no character.", ADD_FIELDS)
        seen.add(name)
    return None if "message" in seen else missing()


def _is_possible(name: str, value: object) -> bool:
    """Return whether the type of a value is right. Text in ttl and reads is parsed later."""
    if isinstance(value, str) or (value is None and name != "message"):
        return True
    return name in ("ttl", "reads") and type(value) is int


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
