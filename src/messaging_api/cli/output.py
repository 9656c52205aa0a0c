"""Where a message is written to."""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self


def flush(file: BinaryIO) -> None:
    """Write what is buffered; to the disk if that is a file. Raise OSError if the file may be short.

    A quota, or a server of files, may report only here that there was no room.
    """
    file.flush()
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.fsync(file.fileno())


class Output:
    """Standard output, or a new file that only its owner can read.

    The file is created on entry, before a read is spent. It is removed if the block fails.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO = sys.stdout.buffer

    @property
    def on_terminal(self) -> bool:
        """Return whether the message goes to a terminal."""
        return self._path is None and sys.stdout.isatty()

    def write(self, text: str) -> None:
        """Write `text`, which is the whole output. Raise OSError if that fails."""
        self._file.write(text.encode())
        flush(self._file)
        if self._path is not None:
            self._file.close()

    def __enter__(self) -> Self:
        if self._path is not None:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(handle, "wb")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._path is None or kind is None:
            return
        with suppress(OSError):  # the block has failed already
            self._file.close()
        self._path.unlink(missing_ok=True)
