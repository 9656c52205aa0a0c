"""`scripts/need`, for programs that tests need, where none may be installed."""

import shutil
import subprocess
from pathlib import Path

from tests.support.programs import INSTALL


def need(path: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/need with nothing on the PATH but what it uses itself: no apt-get."""
    for name in ("sh", "id", "tr"):
        program = shutil.which(name)
        assert program
        (path / name).symlink_to(program)
    return subprocess.run([INSTALL, *programs], env={"PATH": str(path)}, capture_output=True, text=True, check=False)


def test_missing_programs_are_named(tmp_path: Path) -> None:
    """They are named by their Debian packages, in a command line to copy."""
    ran = need(tmp_path, "kubectl", "sh", "redis-server")
    assert ran.returncode == 1
    assert "apt-get install kubernetes-client redis-server" in ran.stderr


def test_installed_programs_print_nothing(tmp_path: Path) -> None:
    """Nothing is printed then."""
    ran = need(tmp_path, "sh", "id")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
