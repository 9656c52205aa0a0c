"""All errors of this package, as one tree.

    MessagingError
    ├── InvalidRequest        a value in the request is invalid
    ├── MessageTooLarge       the message is longer than the limit of this service
    ├── IncompleteBody        the body ended early or did not arrive in time
    ├── MessageNotFound       no message: unknown id, malformed id, expired, read out or burned
    ├── FormatRequired        a message with limited reads was requested without naming a format
    ├── IdempotencyConflict   the idempotency key was used before, with another request
    ├── Unauthorized          creating requires a token, and the request has no valid one
    ├── LimitReached          the client exceeded a rate limit
    ├── Overloaded            this process has too many requests in flight
    ├── SettingsError         the service cannot start with these settings
    └── StoreError
        ├── NotExecuted       the operation did not take place
        │   └── StoreFull         the store cannot hold another message
        └── OutcomeUnknown    the store did not answer in time; the operation may have taken place

An operation of a store ends in one of three ways: with its result, with NotExecuted, or with OutcomeUnknown. Nothing
above may tell one as another (`docs/adr/0020-outcomes.md`).

The errors have no status codes: `web/problems.py` holds the one table from errors to responses. The text of an error
never contains an id, a key or a message.
"""

from typing import Literal


class MessagingError(Exception):
    """The root of all errors that this package raises on purpose."""


class InvalidRequest(MessagingError):
    """A value in the request is invalid; the text tells the sender which one and how to correct it."""


class MessageTooLarge(MessagingError):
    """The message is longer than `limit` bytes of UTF-8."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A message may have at most {limit} bytes of UTF-8.")


class IncompleteBody(MessagingError):
    """The body ended early, or did not arrive in time."""


class MessageNotFound(MessagingError):
    """No message to return. Deliberately one error without a reason: the client must not learn the reason."""


class FormatRequired(MessagingError):
    """The message has limited reads, and the request did not name a format."""


class IdempotencyConflict(MessagingError):
    """The idempotency key was used during its lifetime for a different request."""


class Unauthorized(MessagingError):
    """Creating a message requires a valid token. `sent`: the request had an Authorization header."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__(
            "The token is not valid." if sent else "Creating a message requires a token: Authorization: Bearer …"
        )
        self.sent = sent


class LimitReached(MessagingError):
    """The client has used its `limit` of requests of this `kind` in a minute; it may retry after `seconds`."""

    def __init__(self, kind: Literal["create", "read", "miss"], limit: int, seconds: int) -> None:
        super().__init__(f"At most {limit} requests of this kind ({kind}) per minute. Try again in {seconds} s.")
        self.kind: Literal["create", "read", "miss"] = kind
        self.seconds = seconds


class Overloaded(MessagingError):
    """This process has too many requests in flight; the same request may succeed a moment later."""


class SettingsError(MessagingError):
    """A setting is unknown, malformed or missing; the text names it and the expected form."""


class StoreError(MessagingError):
    """An operation of the store has no result; see the two kinds below."""


class NotExecuted(StoreError):
    """The operation is known not to have taken place, and never will: repeating it is safe."""


class StoreFull(NotExecuted):
    """The store is full."""


class OutcomeUnknown(StoreError):
    """The operation may have taken place, or may still do so: it must not be repeated blindly."""
