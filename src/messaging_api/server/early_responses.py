"""Responses sent before, or instead of, those of the application."""

from messaging_api.errors import MessagingError
from messaging_api.web.problems import as_json, problem_of
from messaging_api.web.responses import encode


class Rejection(Exception):
    """A request that ends the connection unserved: the error for the response, and the reason for the log."""

    def __init__(self, error: MessagingError, reason: str) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason

    def forget_frames(self) -> None:
        """Let go of the frames that it passed: they hold what was received, and the connection that keeps this."""
        for error in (self, self.error):
            error.__traceback__ = error.__context__ = error.__cause__ = None


def error_bytes(error: Exception, request_id: str, date: bytes, *, secure: bool) -> bytes:
    """Return the bytes of a response that reports `error` and ends the connection."""
    return encode(as_json(problem_of(error)), request_id, date, secure, True, False)  # noqa: FBT003
