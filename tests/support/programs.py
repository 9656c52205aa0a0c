"""Programs that tests start: found on the PATH, or installed when a test first needs them."""

import contextlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "scripts" / "need"


class Terminal:
    """pytest plugin: shows what an installation prints while the output of tests is captured."""

    def __init__(self) -> None:
        self._config: pytest.Config | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Remember whose output is captured."""
        self._config = config

    def shown(self) -> contextlib.AbstractContextManager[object]:
        """Return a context in which output reaches the terminal."""
        capture = self._config and self._config.pluginmanager.getplugin("capturemanager")
        return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()


terminal = Terminal()


@cache
def require(program: str) -> str:
    """Return the path of a program; install its Debian package if it is missing.

    Raises AssertionError with what to install where this process must not install anything.
    """
    found = shutil.which(program)
    if found is None:
        with terminal.shown():
            ran = subprocess.run([INSTALL, program], text=True, stdout=subprocess.PIPE, check=False)
        found = shutil.which(program)
        assert found, f"{program} is not installed; as root: scripts/need {program} (exit code {ran.returncode})"
    return found
