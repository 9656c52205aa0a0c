"""Everything that can go wrong, as one tree.

    MessagingError
    ├── Invalid            the request says something that cannot be
    ├── MessageTooLarge           the message is longer than this service keeps
    ├── Incomplete         the request ended, or its time was over, before it was complete
    ├── Missing            no message there: unknown, malformed, expired, read out or burned
    ├── Unconfirmed        a message with limited reads, asked for without naming a format
    ├── IdempotencyConflict          an idempotency key seen before, with another request
    ├── Unauthorized       creating needs a token here, and the request has none that is known
    ├── LimitReached       the client asks more often than it may
    ├── Overloaded         more work than this process takes at once
    ├── SettingsError      the service cannot start like this
    └── StoreError
        ├── StoreUnavailable   the store did not answer, or not in time
        └── StoreFull          the store has no room for another message

No status numbers here: `web/problems.py` holds the one table from these to answers. No text here ever
holds an id, a key or a message.
"""

from typing import Literal


class MessagingError(Exception):
    """The root of all that this package raises on purpose."""


class InvalidRequest(MessagingError):
    """The request says something that cannot be; the text tells the sender what and how to mend it."""


class MessageTooLarge(MessagingError):
    """The message is longer than `limit` bytes of UTF-8."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A message may have at most {limit} bytes of UTF-8.")


class IncompleteBody(MessagingError):
    """The body broke off, or did not arrive in time."""


class MessageNotFound(MessagingError):
    """Nothing to hand over. Deliberately one error without a reason: the asker must not learn which."""


class FormatRequired(MessagingError):
    """The message counts its reads, and the request did not name the format it wants."""


class IdempotencyConflict(MessagingError):
    """The idempotency key was used within its life for a request that said something else."""


class Unauthorized(MessagingError):
    """Only those with a token may create here. `sent` says whether the request brought something for one."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("The token is not known here." if sent else "Creating needs a token: Authorization: Bearer …")
        self.sent = sent


class LimitReached(MessagingError):
    """The client has had the `most` requests of this `kind` that it may have in a minute; more in `seconds`."""

    def __init__(self, kind: Literal["create", "read", "miss"], most: int, seconds: int) -> None:
        super().__init__(f"At most {most} of this kind ({kind}) a minute. Try again in {seconds} s.")
        self.kind: Literal["create", "read", "miss"] = kind
        self.seconds = seconds


class Overloaded(MessagingError):
    """More requests at once than this process takes; the same request may succeed a moment later."""


class SettingsError(MessagingError):
    """A setting is unknown, malformed or missing; the text names it and the shape expected."""


class StoreError(MessagingError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store is out of reach or too slow. Whether the operation took place is unknown."""


class StoreFull(StoreError):
    """The store has no room. Nothing of the operation was kept."""
