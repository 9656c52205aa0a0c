"""Structured logs: one JSON object a line, to a file and to the console.

Lines of one turn of the event loop are written in one write. At midnight UTC `messaging_api.log` becomes
`messaging_api.log.yymmdd`, safely with any number of processes writing to it. No line ever holds an id, a link, a key
or a message; JSON escapes control characters, so nothing a client sent can forge a line.
"""

import asyncio
import contextlib
import logging
import os
import time
import traceback
from collections.abc import Callable

import msgspec

from messaging_api.observability.rotating_file import DailyFile

_encode = msgspec.json.Encoder().encode

Field = str | int | float | bool | None


class JsonLogger:
    """Writes events. `file` is None for the console alone; `on_failure` hears of each write that failed."""

    def __init__(
        self,
        file: DailyFile | None,
        console: int = 2,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = file
        self._console = console
        self._clock = clock
        self._on_failure = on_failure
        self._lines: list[str] = []
        self._failing = False
        self._turn = ""

    def event(self, event: str, level: str = "info", **fields: Field) -> None:
        """Write one line: time, level, event and `fields`, with the `request_id` if a request is concerned."""
        line = {"time": self._now(), "level": level, "event": event, "request_id": None, **fields}
        self._add(_encode(line).decode() + "\n")

    def request(self, request_id: str, fields: str) -> None:
        """Write the line of one request. `fields` are JSON already: nothing in them came from a client."""
        self._add(f'{{"time":"{self._now()}","level":"info","event":"request","request_id":"{request_id}",{fields}}}\n')

    def _now(self) -> str:
        """Return the time of the first line of this turn, for all of its lines: the text costs as much as a line."""
        if not self._lines:
            self._turn = _stamp(self._clock())
        return self._turn

    def _add(self, line: str) -> None:
        lines = self._lines
        lines.append(line)
        if len(lines) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # no loop here: nothing would flush later
                self.flush()

    def flush(self) -> None:
        """Write the lines of this turn."""
        lines, self._lines = "".join(self._lines).encode(), []
        if not lines:
            return
        _write_console(self._console, lines)
        if self._file is not None:
            self._write_file(self._file, lines)

    def _write_file(self, file: DailyFile, lines: bytes) -> None:
        try:
            file.write(lines, self._clock())
        except OSError as error:
            self._on_failure()
            if not self._failing:
                complaint = {"time": _stamp(self._clock()), "level": "error", "event": "log_file_failed"}
                _write_console(self._console, _encode({**complaint, "reason": error.strerror}) + b"\n")
            self._failing = True
        else:
            self._failing = False


class LibraryLogHandler(logging.Handler):
    """Brings the lines of libraries into the journal; of an exception its class and place, not its text."""

    def __init__(self, logger: JsonLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        error = record.exc_info[1] if record.exc_info else None
        fields = where(error) if error is not None else {}
        self._logger.event(
            "library", record.levelname.lower(), logger=record.name, detail=record.getMessage(), **fields
        )


def capture_logging(logger: JsonLogger) -> None:
    """Send the lines of all libraries to `logger`, and nowhere else."""
    logging.root.handlers[:] = [LibraryLogHandler(logger)]
    logging.captureWarnings(capture=True)


def where(error: BaseException) -> dict[str, Field]:
    """What may be logged of an unexpected error. Its text may hold what a client sent, so it stays out."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    place = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))  # noqa: PTH119
    return {"error": type(error).__name__, "at": place}


_second: tuple[int, str] = (0, "")


def _stamp(now: float) -> str:
    """RFC 3339 in UTC with milliseconds; the text of a second is made once."""
    global _second  # noqa: PLW0603 a cache of one
    whole = int(now)
    if _second[0] != whole:
        _second = (whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)))
    return f"{_second[1]}.{int((now - whole) * 1000):03d}Z"


def _write_console(descriptor: int, lines: bytes) -> None:
    with contextlib.suppress(OSError):  # a closed terminal must not stop the service
        os.write(descriptor, lines)
