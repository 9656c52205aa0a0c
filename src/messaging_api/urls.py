"""The syntax of a server's base URL, shared by the settings and the client."""

from urllib.parse import urlsplit


def parse_base_url(text: str) -> str:
    """Return an http or https URL of a server, or of a path on it, without a slash at the end.

    Raise ValueError, whose text is fit for users, for anything else: another scheme, no host, a user name, a query, a
    fragment, spaces, control characters, or characters outside ASCII.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 reading it checks it
    except ValueError:
        raise ValueError("This is not a web address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("This is not a web address: it must begin with https:// or http:// and the name of a server.")
    if parts.username is not None or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("A web address must not contain a user name, spaces, or characters outside ASCII.")
    return text.rstrip("/")
