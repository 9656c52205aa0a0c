"""Links: `<base>/msg/<uuid>[#key]` and `<base>/receipt/<uuid>`."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from messaging_api.client.envelope import Key
from messaging_api.client.errors import BadLink
from messaging_api.urls import parse_base_url

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
    """Return the address of a server, or of a path on it, without a slash at the end. Raise BadLink if it is none."""
    try:
        return parse_base_url(text)
    except ValueError as error:
        raise BadLink(str(error)) from None
