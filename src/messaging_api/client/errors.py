"""What can go wrong on the client's side, as one tree.

    ClientError
    ├── BadLink              not a link of this kind; nothing was asked of any server
    ├── NoMessage            never there, expired, read out or burned: the service does not tell which
    ├── ReadInterrupted      the connection broke while the message was handed over: a read may be spent
    ├── Unreachable          no server there, or none that is trusted
    ├── ServerBusy           it would not take the request now, however often it was asked
    │   └── ServerFull           it has no room for another message
    ├── RequestRejected      the service understood, and will not
    │   ├── TooLong              the text is longer than it keeps
    │   └── TokenRequired        it takes messages only with a token, and not with this one
    ├── UnexpectedResponse   what answers there is not messaging_api, or speaks another version
    └── DecryptionFailed     the message came, and does not open; `envelope` is what came
        ├── NotAnEnvelope        the link has a key, and what came is not encrypted as it should be
        ├── UnknownVersion       encrypted by a newer version than this
        ├── KeyMissing           encrypted, and the link has no key
        ├── PasswordMissing      it takes a password
        └── WrongPassword        wrong password, or damaged: the cipher cannot tell which
            └── Damaged              there is no password, so it is the latter

No text here ever holds a link, a key, a password or a message.
"""


class ClientError(Exception):
    """The root of all that the client raises on purpose."""


class BadLink(ClientError):
    """Not a link to a message or receipt, or its key is damaged. Nothing was asked of any server."""


class NoMessage(ClientError):
    """No message there: it never was, has expired, was read by all its readers, or burned."""


class ReadInterrupted(ClientError):
    """The connection broke after the message was asked for, so one of its reads may be spent.

    `reads_left` is how many there still are, 0 when the message is gone, None when nobody could be asked.
    """

    def __init__(self, text: str, reads_left: int | None) -> None:
        super().__init__(text)
        self.reads_left = reads_left


class Unreachable(ClientError):
    """No connection: nobody there, no such name, no answer in time, a certificate that is not trusted."""


class ServerBusy(ClientError):
    """It will not now. `retry_after` is the time it asked for, in seconds, if it did."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class ServerFull(ServerBusy):
    """It has no room for another message."""


class RequestRejected(ClientError):
    """The service will not, and says what to mend."""


class TooLong(RequestRejected):
    """The text is longer than the service keeps."""


class TokenRequired(RequestRejected):
    """The service takes messages only from those with a token."""


class UnexpectedResponse(ClientError):
    """The answer is none of messaging_api's, or of a version that this client does not speak with."""


class DecryptionFailed(ClientError):
    """A message that does not open. `envelope` is what came: it may have been its last read, so keep it."""

    def __init__(self, text: str, envelope: str = "") -> None:
        super().__init__(text)
        self.envelope = envelope


class NotAnEnvelope(DecryptionFailed):
    """The link has a key, but what came is not an envelope."""


class UnknownVersion(DecryptionFailed):
    """An envelope of a version that this client does not know."""


class KeyMissing(DecryptionFailed):
    """An envelope, and a link without its key: what stood behind the # is gone."""


class PasswordMissing(DecryptionFailed):
    """It takes a password. When `envelope` is empty, the link said so and nothing was fetched yet."""


class WrongPassword(DecryptionFailed):
    """The password is wrong, or the envelope or the key is damaged: the cipher cannot tell which."""


class Damaged(WrongPassword):
    """There is no password in it: the envelope or the key is damaged, and no password would help."""
