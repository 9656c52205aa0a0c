"""The links of messages and receipts: `<base>/msg/<uuid>[#key]` and `<base>/receipt/<uuid>`."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from messaging_api.client.envelope import Key
from messaging_api.client.errors import BadLink
from messaging_api.urls import parse_base_url

Kind = Literal["msg", "receipt"]

_PATH = re.compile(r"(?:/[^/]+)*/(msg|receipt)/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_PATH_END = re.compile(r"/(msg|receipt)/[^/]+\Z", re.IGNORECASE)
_WRONG = {
    "msg": "This is the link of a receipt. The link of a message contains /msg/.",
    "receipt": "This is the link of a message. The link of its receipt is required, which its sender received with it.",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `address` is the link without its key, the part that a server may see. Both are hidden in repr."""

    address: str = field(repr=False)
    key: Key | None = None

    @classmethod
    def parse(cls, text: str, kind: Kind) -> "Link":
        """Parse a link of that kind. Drop its query, which some programs add. Raise BadLink."""
        address, _, fragment = text.strip().partition("#")
        address = server_address(address.partition("?")[0])
        found = _PATH.fullmatch(urlsplit(address).path)
        if not found:
            raise BadLink("This is not a link to a message or a receipt.")
        if found[1] != kind:
            raise BadLink(_WRONG[kind])
        return cls(address, Key.parse(fragment) if kind == "msg" else None)

    @property
    def server(self) -> str:
        """The address of the server, without a slash at its end."""
        return _PATH_END.sub("", self.address)

    def with_key(self, key: Key | None) -> str:
        """Return the link with this key, for readers."""
        return f"{self.address}#{key.fragment}" if key else self.address


def server_address(text: str) -> str:
    """Return the address of a server without a slash at its end. Raise BadLink if `text` is not an address."""
    try:
        return parse_base_url(text)
    except ValueError as error:
        raise BadLink(str(error)) from None
