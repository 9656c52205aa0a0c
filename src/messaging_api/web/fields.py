"""The fields of a message in forms and queries, and the errors about them. Each error has a command that works."""

from collections.abc import Iterable
from urllib.parse import unquote_plus

from messaging_api.web.http_errors import UnclearRequest
from messaging_api.web.schemas import CreateMessageForm

FIELDS = CreateMessageForm.__struct_fields__
_LIST = ", ".join(FIELDS)
OPTIONS = ", ".join(name for name in FIELDS if name != "message")

ADD_FIELDS = "curl -F message=hello -F reads=1 -F ttl=1h {url}"
ENCODE = "curl --data-urlencode 'message=salt & pepper' {url}"
ADD_TYPE = "curl -H 'Content-Type: text/plain' --data-binary @- {url}"
ADD_QUERY = "curl -H 'Content-Type: text/plain' --data-binary @- '{url}/?reads=1&ttl=1h'"
ADD_JSON_TYPE = "curl -H 'Content-Type: application/json' --data-binary @- {url}"
AS_BASE64 = "base64 FILE | curl -F message='<-' {url}"


def unknown(name: str) -> UnclearRequest:
    """Return the error for a field that a message does not have."""
    return UnclearRequest(f"There is no field {_shown(name) or 'without a name'}. The fields are {_LIST}.", ADD_FIELDS)


def twice(name: str) -> UnclearRequest:
    """Return the error for a field that occurs twice."""
    return UnclearRequest(f"The field {name} occurs twice.", ADD_FIELDS)


def missing() -> UnclearRequest:
    """Return the error for fields without a message."""
    return UnclearRequest("The field message is missing.", ADD_FIELDS)


def unclear(body: bytes) -> UnclearRequest:
    """Return the error for a body that may be a text as well as a form."""
    piece = next((piece for piece in body.split(b"&") if b"=" in piece), b"")
    name = _shown(piece.partition(b"=")[0].decode(errors="replace"))
    form = f"a form with the field {name}, which a message does not have" if name else "a form"
    detail = f"The body may be a text or {form}; the fields are {_LIST}. To send a text, name its content type."
    return UnclearRequest(detail, ADD_TYPE)


def utf8(raw: bytes | bytearray, field: str = "message") -> str:
    """Decode the value of a field. Raises UnclearRequest."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        detail = f"The field {_shown(field)} is not UTF-8, and a message is text. Send other data as base64."
        raise UnclearRequest(detail, AS_BASE64) from None


def decoded(encoded: bytes, command: str) -> Iterable[tuple[str, str]]:
    """Yield the name and value of each field of a form or a query. An error shows `command`. Raises UnclearRequest."""
    for piece in encoded.split(b"&", len(FIELDS)):
        name, equals, value = piece.partition(b"=")
        if not equals:
            part = _shown(name.decode(errors="replace")) or "an empty one"
            detail = f"& separates fields, and one of them has no name: {part}. Write each as message=…, with & as %26."
            raise UnclearRequest(detail, command)
        yield _unquoted(name), _unquoted(value)


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the fields by name. Raises UnclearRequest if one is unknown or occurs twice."""
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in FIELDS:
            raise unknown(name)
        if name in fields:
            raise twice(name)
        fields[name] = value
    return fields


def _unquoted(text: bytes) -> str:
    try:
        return unquote_plus(text.decode(), errors="strict")
    except UnicodeDecodeError:
        return utf8(b"\xff")


def _shown(name: str) -> str:
    """Return a name that a client sent, short enough and without control characters, for an error."""
    return "".join(character if character.isprintable() else "?" for character in name[:40])
