"""The links of messages and receipts: `<base>/msg/<uuid>[#key]` and `<base>/receipt/<uuid>`."""

from dataclasses import dataclass, field

from messaging_api.client.envelope import Key
from messaging_api.client.errors import BadLink
from messaging_api.client.link_search import Kind, find_link
from messaging_api.urls import complete_base_url


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `address` is the link without its key, the part that a server may see. Both are hidden in repr."""

    address: str = field(repr=False)
    key: Key | None = None

    @classmethod
    def parse(cls, text: str, kind: Kind) -> "Link":
        """Return the link of that kind in `text`, without what programs added to it (`docs/encryption.md`).

        Raise BadLink, and TypeError if `text` is not a str.
        """
        if not isinstance(text, str):
            raise TypeError(f"a link must be a str, not {type(text).__name__}")
        found = find_link(text, kind)
        return cls(server_address(found.address), Key.parse(found.fragment) if kind == "msg" else None)

    @property
    def server(self) -> str:
        """The address of the server, without a slash at its end."""
        return self.address.rsplit("/", 2)[0]

    def with_key(self, key: Key | None) -> str:
        """Return the link with this key, for readers."""
        return f"{self.address}#{key.fragment}" if key else self.address


def server_address(text: str) -> str:
    """Return the address of a server without a slash at its end. Raise BadLink if `text` is not an address."""
    try:
        return complete_base_url(text)
    except ValueError as error:
        raise BadLink(str(error)) from None
