"""Tells whether the terminal of this process has hung up."""

import os
import signal


class ControllingTerminal:
    """The terminal that this process was started from, if any. `nohup` takes a process off its terminal."""

    def __init__(self) -> None:
        self._expected = _exists() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def lost(self) -> bool:
        """Return whether there was a terminal and there is none any more."""
        return self._expected and not _exists()


def _exists() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
