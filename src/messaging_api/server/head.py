"""The meaning of a request's head: RFC 9112, sections 3 and 6, and RFC 9110, section 5.3."""

import httptools

from messaging_api.errors import InvalidRequest
from messaging_api.urls import is_authority
from messaging_api.web.http_errors import UnsupportedTransferCoding

Headers = dict[bytes, bytes]

_SINGLE = frozenset(
    b"authorization content-length content-type expect host idempotency-key if-modified-since if-unmodified-since "
    b"max-forwards origin proxy-authorization range referer traceparent user-agent".split()
)
"""Header fields with one value. A second one is rejected, because it is unclear which of them counts."""


def add(headers: Headers, name: bytes, value: bytes) -> None:
    """Add a field; a repeated one is joined to the earlier ones as one list.

    Raises InvalidRequest for a second value of a field that has one value only.
    """
    if name not in headers:
        headers[name] = value
        return
    if name in _SINGLE:
        raise InvalidRequest(f"The header {name.decode()} was sent twice.")
    headers[name] = b"%b%b%b" % (headers[name], b"; " if name == b"cookie" else b", ", value)


def split_target(target: bytes) -> tuple[str, bytes, bytes | None]:
    """Return path, query and authority of a request target; the authority is None unless the target is absolute.

    The path is not decoded yet. Raises InvalidRequest.
    """
    if target[:1] == b"/":
        if b"?" not in target and b"#" not in target:
            return target.decode("latin-1"), b"", None
        path, _, query = target.partition(b"#")[0].partition(b"?")
        return path.decode("latin-1"), query, None
    if target == b"*":
        return "*", b"", None
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise InvalidRequest("The request target is not valid.") from None
    scheme: bytes | None = url.schema
    port: int | None = url.port
    if (scheme or b"").lower() not in (b"http", b"https") or url.userinfo:
        raise InvalidRequest("The request target is not an http address.")
    host = b"[%b]" % url.host if b":" in url.host else url.host
    authority = host if port is None else b"%b:%d" % (host, port)
    return (url.path or b"/").decode("latin-1"), url.query or b"", authority


def host_of(headers: Headers, authority: bytes | None, *, required: bool) -> bytes:
    """Return the requested host, or b"" if it is missing and may be.

    An absolute target wins over the field (RFC 9112, section 3.2.2). Raises InvalidRequest.
    """
    host = headers.get(b"host")
    if host is None:
        if required:
            raise InvalidRequest("An HTTP/1.1 request must have a Host header.")
        host = b""
    elif not is_authority(host):
        raise InvalidRequest("The Host header is not a name or address.")
    if authority is None:
        return host
    if not is_authority(authority):
        raise InvalidRequest("The host in the request target is not a name or address.")
    return authority


def is_modern(version: str) -> bool:
    """Return whether this is HTTP/1.1, and not HTTP/1.0. Raises InvalidRequest for all other versions."""
    if version not in ("1.0", "1.1"):
        raise InvalidRequest("This service speaks HTTP/1.1.")
    return version == "1.1"


def check_transfer_coding(headers: Headers, *, modern: bool) -> None:
    """Check Transfer-Encoding (RFC 9112, section 6.1).

    Raises UnsupportedTransferCoding for any coding but chunked, InvalidRequest before HTTP/1.1.
    """
    if not modern:
        raise InvalidRequest("HTTP/1.0 has no Transfer-Encoding.")
    if headers[b"transfer-encoding"].lower() != b"chunked":
        raise UnsupportedTransferCoding


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """Return the head of a request without its offer to switch protocols (RFC 9110, section 7.8)."""
    options = [option.strip() for option in headers.get(b"connection", b"").split(b",")]
    remaining = b", ".join(option for option in options if option.lower() != b"upgrade")
    rest = {name: value for name, value in headers.items() if name not in (b"upgrade", b"connection")}
    if remaining:
        rest[b"connection"] = remaining
    lines = b"".join(b"%b: %b\r\n" % field for field in rest.items())
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), lines)
