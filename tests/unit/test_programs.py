"""Programs that tests need, where none may be installed."""

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


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """By the names of its Debian packages, in a line that can be typed."""
    ran = need(tmp_path, "kubectl", "sh", "redis-server")
    assert ran.returncode == 1
    assert "apt-get install kubernetes-client redis-server" in ran.stderr


def test_what_is_there_is_not_installed(tmp_path: Path) -> None:
    """Nothing is printed then."""
    ran = need(tmp_path, "sh", "id")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
