"""Structured logs: one JSON object per line, to a file and to the console.

The lines of one turn of the event loop are written in one write. At midnight UTC `messaging_api.log` is renamed to
`messaging_api.log.yymmdd`, safely with any number of processes writing to it. No line ever contains an id, a link, a
key or a message. JSON escapes control characters, so a client cannot forge a line.
"""

import asyncio
import os
import time
import traceback
from collections.abc import Callable

import msgspec

from messaging_api.errors import MessagingError
from messaging_api.observability.console import Console
from messaging_api.observability.rotating_file import DailyFile
from messaging_api.observability.timestamps import format_time

_encode = msgspec.json.Encoder().encode

Field = str | int | float | bool | None


class JsonLogger:
    """A logger of events.

    `file` is None for the console only; `console` is a file descriptor. `clock` returns seconds since the epoch.
    `on_failure` is called for each write to the file that failed, `on_dropped` with the number of lines that the
    console did not take at once.
    """

    def __init__(
        self,
        file: DailyFile | None,
        console: int = 2,
        clock: Callable[[], float] = time.time,
        on_failure: Callable[[], None] = lambda: None,
        on_dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._file = file
        self._console = Console(console, self._describe_dropped, on_dropped)
        self._clock = clock
        self._on_failure = on_failure
        self._lines: list[str] = []
        self._failing = False
        self._turn_time = ""

    def event(self, event: str, level: str = "info", **fields: Field) -> None:
        """Add a line with the time, the level, the event and `fields`, which has the `request_id` of a request."""
        line = {"time": self._now(), "level": level, "event": event, "request_id": None, **fields}
        self._add(_encode(line).decode() + "\n")

    def request(self, request_id: str, fields: str) -> None:
        """Write the line of one request. `fields` are JSON already: nothing in them came from a client."""
        self._add(f'{{"time":"{self._now()}","level":"info","event":"request","request_id":"{request_id}",{fields}}}\n')

    def _now(self) -> str:
        """Return the time of the first line of this turn, for all of its lines: the text costs as much as a line."""
        if not self._lines:
            self._turn_time = format_time(int(self._clock() * 1000))
        return self._turn_time

    def _add(self, line: str) -> None:
        lines = self._lines
        lines.append(line)
        if len(lines) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # without a loop, nothing would flush later
                self.flush()

    def reopen(self) -> None:
        """Close the file; the next line opens it again by its name."""
        if self._file is not None:
            self._file.close()

    def flush(self) -> None:
        """Write the lines of this turn."""
        lines, self._lines = "".join(self._lines).encode(), []
        if not lines:
            return
        self._console.write(lines)
        if self._file is not None:
            self._write_file(self._file, lines)

    def _write_file(self, file: DailyFile, lines: bytes) -> None:
        try:
            file.write(lines, self._clock())
        except OSError as error:
            self._on_failure()
            if not self._failing:
                self._console.write(self._encode_line("log_file_failed", "error", {"reason": error.strerror}))
            self._failing = True
        else:
            self._failing = False

    def _describe_dropped(self, number: int) -> bytes:
        return self._encode_line("console_dropped", "warning", {"count": number})

    def _encode_line(self, event: str, level: str, fields: dict[str, Field]) -> bytes:
        now = format_time(int(self._clock() * 1000))
        return _encode({"time": now, "level": level, "event": event, "request_id": None, **fields}) + b"\n"


def where(error: BaseException) -> dict[str, Field]:
    """Return the loggable fields of an unexpected error: class and place, not its text, which may quote a client."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    place = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))  # noqa: PTH119
    return {"error": type(error).__name__, "at": place}


def reason(error: BaseException) -> dict[str, Field]:
    """Return the loggable fields of the error that ended something: as `where`, and the text of an error of our own."""
    return {**where(error), **({"detail": str(error)} if isinstance(error, MessagingError) else {})}
