"""The errors of the client, as one tree.

    ClientError
    ├── BadLink              the text is not a link of the required kind; no request was sent
    ├── BadProxy             a proxy in the environment cannot be used; no request was sent
    ├── NoMessage            the message never existed, expired, was read or was burned; the server does not say which
    ├── ReadInterrupted      the connection broke during a read, which may have spent a read
    ├── Unreachable          no connection to the server, or its certificate is not trusted
    ├── ServerBusy           the server cannot take the request now; all retries failed
    │   └── ServerFull           its storage is full
    ├── RequestRejected      the server understood the request and rejects it
    │   ├── TooLong              the text is longer than the server accepts
    │   └── TokenRequired        the server requires a token to create messages, or does not know this one
    ├── UnexpectedResponse   the server is not messaging_api, or speaks another version of its API
    └── DecryptionFailed     the message was fetched but cannot be decrypted; `envelope` is what was fetched
        ├── NotAnEnvelope        the link has a key, but the message is not properly encrypted
        ├── UnknownVersion       the message was encrypted by a newer version
        ├── KeyMissing           the message is encrypted, but the link has no key
        ├── PasswordMissing      the message requires a password
        └── WrongPassword        the password is wrong, or the message is damaged; the cipher cannot tell which
            └── Damaged              the message has no password, so it or its key is damaged

No text of an error contains a link, a key, a password or a message.
"""

from dataclasses import dataclass
from typing import Literal

BadLinkReason = Literal["missing", "cut-short", "altered", "several", "wrong-kind"]


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """The server's own words about an error (RFC 9457). A field is empty if the server did not say it."""

    type: str = ""
    title: str = ""
    detail: str = ""


class ClientError(Exception):
    """The base of all errors that the client raises on purpose.

    If the error comes from a response, `status` is its HTTP status code, `request_id` its X-Request-Id, by which the
    server's log names it, and `problem` what the server said. All are None if there is no such thing.
    """

    status: int | None = None
    request_id: str | None = None
    problem: ProblemDetails | None = None


class BadLink(ClientError):
    """The text contains no usable link to a message or receipt. No request was sent. `reason` says why:

    `missing`: there is no link. `cut-short`: its end is missing. `altered`: its id or key is not as it was made.
    `several`: there are different links. `wrong-kind`: it is a link of the other kind.
    """

    def __init__(self, text: str, reason: BadLinkReason = "missing") -> None:
        super().__init__(text)
        self.reason: BadLinkReason = reason


class BadProxy(ClientError):
    """A proxy in the environment cannot be used; the text names its variable. No request was sent."""


class NoMessage(ClientError):
    """There is no message: it never existed, expired, was read as often as allowed, or was burned."""


class ReadInterrupted(ClientError):
    """The connection broke after the message was requested, so one of its reads may be spent.

    `reads_left` is the number of reads left, 0 if the message is gone, and None if the server could not be asked.
    """

    def __init__(self, text: str, reads_left: int | None) -> None:
        super().__init__(text)
        self.reads_left = reads_left


class Unreachable(ClientError):
    """There is no connection: unknown host, nothing listening, no response in time, or an untrusted certificate."""


class ServerBusy(ClientError):
    """The server cannot take the request now. `retry_after` is the seconds it asked to wait, or None."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class ServerFull(ServerBusy):
    """The server's storage is full."""


class RequestRejected(ClientError):
    """The server rejects the request, and its text says why."""


class TooLong(RequestRejected):
    """The text is longer than the server accepts."""


class TokenRequired(RequestRejected):
    """The server requires a token to create messages, or does not know this one."""


class UnexpectedResponse(ClientError):
    """The response does not come from messaging_api, or from a version whose API this client does not know."""


class DecryptionFailed(ClientError):
    """The message cannot be decrypted. `envelope` is what was fetched. Save it: its last read may be spent."""

    def __init__(self, text: str, envelope: str = "") -> None:
        super().__init__(text)
        self.envelope = envelope


class NotAnEnvelope(DecryptionFailed):
    """The link has a key, but the message is not an envelope."""


class UnknownVersion(DecryptionFailed):
    """The envelope has a version that this client does not know."""


class KeyMissing(DecryptionFailed):
    """The message is an envelope, but the link has no key: its part after the # is missing."""


class PasswordMissing(DecryptionFailed):
    """The message requires a password. If `envelope` is empty, the link said so and nothing was fetched."""


class WrongPassword(DecryptionFailed):
    """The password is wrong, or the envelope or the key is damaged: the cipher cannot tell which."""


class Damaged(WrongPassword):
    """The envelope or the key is damaged. The message has no password, so no password would help."""
