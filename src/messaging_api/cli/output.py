"""Where a message is written to."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self


class Output:
    """Standard output, or a new file that only its owner can read.

    The file is created on entry, before a read is spent. It is removed if the block fails.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = sys.stdout.buffer

    @property
    def on_terminal(self) -> bool:
        """Return whether the message goes to a terminal."""
        return self._path is None and sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Write all of `text`. Raise OSError if that fails."""
        self._file.write(text.encode())
        self._file.flush()

    def __enter__(self) -> Self:
        if self._path is not None:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(handle, "wb")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._path is None:
            return
        with suppress(OSError):
            self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)
