"""What can go wrong on the client's side, as one tree.

    ClientError
    └── CannotOpen           the message came, and does not open; `envelope` is what came
        ├── NotAnEnvelope        the link has a key, and what came is not encrypted as it should be
        ├── UnknownVersion       encrypted by a newer version than this
        ├── KeyMissing           encrypted, and the link has no key
        ├── PasswordMissing      it needs a password
        └── WrongPassword        wrong password, or damaged: the cipher cannot tell which
    └── BadLink              not a link of this kind; nothing was asked of any server

No text here ever holds a link, a key, a password or a message.
"""


class ClientError(Exception):
    """The root of all that the client raises on purpose."""


class BadLink(ClientError):
    """Not a link to a message or receipt, or its key is damaged. Nothing was asked of any server."""


class CannotOpen(ClientError):
    """A message that does not open. `envelope` is what came: it may have been its last read, so keep it."""

    def __init__(self, text: str, envelope: str = "") -> None:
        super().__init__(text)
        self.envelope = envelope


class NotAnEnvelope(CannotOpen):
    """The link has a key, but what came is not an envelope."""


class UnknownVersion(CannotOpen):
    """An envelope of a version that this client does not know."""


class KeyMissing(CannotOpen):
    """An envelope, and a link without its key: what stood behind the # is gone."""


class PasswordMissing(CannotOpen):
    """It takes a password. When `envelope` is empty, the link said so and nothing was fetched yet."""


class WrongPassword(CannotOpen):
    """The password is wrong, or the envelope or the key is damaged: the cipher cannot tell which."""
