"""Links: `<base>/msg/<uuid>[#key]` and `<base>/receipt/<uuid>`."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from messaging_api.client.envelope import Key
from messaging_api.client.errors import BadLink

Kind = Literal["msg", "receipt"]

_PATH = re.compile(r"(?:/[^/]+)*/(msg|receipt)/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_WRONG = {
    "msg": "This is a receipt's link; a message's has /msg/ in it.",
    "receipt": "This is a message's link; what belongs here is the receipt's, which its sender got together with it.",
}


@dataclass(frozen=True, slots=True)
class Link:
    """`address` is what a server may see: the link without its key. Neither shows in repr."""

    address: str = field(repr=False)
    key: Key | None = None

    @classmethod
    def parse(cls, text: str, kind: Kind) -> "Link":
        """A link of that kind. A query is dropped: some programs add one. Raises BadLink."""
        address, _, fragment = text.strip().partition("#")
        address = server_address(address.partition("?")[0])
        found = _PATH.fullmatch(urlsplit(address).path)
        if not found:
            raise BadLink("This is not a link to a message or a receipt.")
        if found[1] != kind:
            raise BadLink(_WRONG[kind])
        return cls(address, Key.parse(fragment) if kind == "msg" else None)

    def with_key(self, key: Key | None) -> str:
        """The link as it is passed on."""
        return f"{self.address}#{key.fragment}" if key else self.address


def server_address(text: str) -> str:
    """The address of a server (or below it), without a slash at the end. Raises BadLink."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 reading it checks it
    except ValueError:
        raise BadLink("This is not a web address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadLink("This is not a web address: it begins with https:// or http:// and a server's name.")
    if parts.username is not None or not text.isascii() or not text.isprintable() or " " in text:
        raise BadLink("A web address has no user, no spaces and nothing beyond ASCII here.")
    return text.rstrip("/")
