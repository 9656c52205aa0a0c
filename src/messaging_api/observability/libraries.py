"""What libraries log, as events of our own, without any text that may contain what a client sent.

Of a record remain its logger, its level, the place of the statement, and its format string if it has arguments: a text
without them may be formatted already. Of an exception remain class and place. Records of one statement are aggregated
as rejections are, since clients may be able to cause them.
"""

import asyncio
import logging
import sys
import warnings
from typing import TextIO

from messaging_api.observability.audit import AuditLog
from messaging_api.observability.logging import Field, where


class LibraryLogHandler(logging.Handler):
    """A handler that passes the records of libraries to `audit`, in the thread of the running event loop."""

    def __init__(self, audit: AuditLog) -> None:
        super().__init__(logging.WARNING)
        self._audit = audit
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; see `logging.Handler`."""
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, Field] = {} if error is None else where(error)
        text = record.msg if record.args and isinstance(record.msg, str) else None
        self.log(record.levelname.lower(), record.name, f"{record.filename}:{record.lineno}", text, fields)

    def log(self, level: str, logger: str, statement: str, text: str | None, fields: dict[str, Field]) -> None:
        """Log what happened at a `statement`, such as `main.py:12`; in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._log, level, logger, statement, text, fields)

    def _log(self, level: str, logger: str, statement: str, text: str | None, fields: dict[str, Field]) -> None:
        self._audit.library(statement, level, logger=logger, detail=text, **fields)


def capture_libraries(audit: AuditLog) -> None:
    """Send what libraries log, warnings, and exceptions that nobody can catch to `audit` only, from now on.

    Records of python_multipart are dropped: its exceptions say all that is needed.
    """
    handler = LibraryLogHandler(audit)
    logging.root.handlers[:] = [handler]
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

    def warn(  # noqa: PLR0913, PLR0917 the signature of warnings.showwarning
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        handler.log(
            "warning", "warnings", f"{filename.rpartition('/')[2]}:{lineno}", None, {"error": category.__name__}
        )

    def unraisable(failure: "sys.UnraisableHookArgs") -> None:
        fields = {} if failure.exc_value is None else where(failure.exc_value)
        handler.log("error", "unraisable", "destructor", None, fields)

    warnings.showwarning = warn
    sys.unraisablehook = unraisable
