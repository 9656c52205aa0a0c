"""The syntax of a server's base URL, and of the host in a request, shared by packages that cannot share more."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

_AUTHORITY = re.compile(rb"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class InvalidAddress(ValueError):
    """A text is not the address of a server. The text of the error is fit for users."""


def parse_base_url(text: str) -> str:
    """Return an http or https URL of a server, or of a path on it, without a slash at the end.

    Raise InvalidAddress for anything else: another scheme, no host, a user name, a query, a
    fragment, spaces, control characters, or characters outside ASCII.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 reading it checks it
    except ValueError:
        raise InvalidAddress("This is not a web address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidAddress(
            "This is not a web address: it must begin with https:// or http:// and the name of a server."
        )
    if parts.username is not None or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidAddress("A web address must not contain a user name, spaces, or characters outside ASCII.")
    return text.rstrip("/")


def default_scheme(authority: str) -> str | None:
    """Return the scheme of a server that is named without one: http on this machine, else https.

    Return None if this is not a host that people name so: localhost, an address, a name with a dot, or one with a port.
    """
    host = authority.lower() if authority.startswith("[") else authority.lower().partition(":")[0]
    if not is_authority(authority.encode()):
        return None
    if f".{host}".endswith(".localhost") or host.startswith(("127.", "[::1]")):
        return "http"
    return "https" if set(authority) & set(".:") else None


def complete_base_url(text: str) -> str:
    """Return the base URL of a server as `parse_base_url` does; its scheme may be missing. Raise InvalidAddress."""
    scheme = None if "://" in text else default_scheme(text.partition("/")[0])
    return parse_base_url(f"{scheme}://{text}" if scheme else text)


def is_authority(text: bytes) -> bool:
    """Return whether this is a host and perhaps a port, as in Host and in links (RFC 9110, section 7.2)."""
    return len(text) <= 300 and _is_authority(text)


@lru_cache(256)
def _is_authority(text: bytes) -> bool:
    return _AUTHORITY.fullmatch(text) is not None
