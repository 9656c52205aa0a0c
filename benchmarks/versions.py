"""The versions of the service that are measured side by side: this tree, and version 0.1.0 out of the Git history."""

import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "benchmarks"
COMMIT = "580b6fccb1e083a1cda77602df6b9a4ed991e6d6"
"""Version 0.1.0."""
OLD, NOW = "0.1.0", "now"

_FILL = """\
import pathlib, sys
from benchmarks.load import fill
fill(sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3]))
"""
_NO_COMMIT = """\
Commit {commit} (version 0.1.0) is not in this repository, so version 0.1.0 cannot be measured.
Fetch the whole history (git fetch --unshallow), or leave version 0.1.0 out: --skip-old."""


@dataclass(frozen=True)
class Version:
    """A source tree and the Python that it is installed for.

    `name` begins the names of its rows. `driver` is the module that answers requests in process, without sockets: the
    drivers of both trees take the same arguments.
    """

    name: str
    root: Path
    python: Path
    driver: str

    @property
    def command(self) -> str:
        """The path of its `messaging-api`."""
        return str(self.python.with_name("messaging-api"))

    def fill(self, store_url: str, count: int, paths: Path) -> None:
        """Store `count` messages of 1 KiB with the code of this version; write their paths, one a line, to `paths`."""
        command = [str(self.python), "-c", _FILL, store_url, str(count), str(paths)]
        subprocess.run(command, cwd=self.root, check=True)


CURRENT = Version(NOW, ROOT, Path(sys.executable), "benchmarks.in_process")


def measured_versions(*, skip_old: bool) -> list[Version]:
    """Return the current tree and, unless it is to be skipped, version 0.1.0. Raise SystemExit where it is missing."""
    return [CURRENT] if skip_old else [CURRENT, _old()]


def _old() -> Version:
    """Return version 0.1.0, installed below .cache on the first call."""
    root = CACHE / OLD
    python = root / ".venv" / "bin" / "python"
    installed = root / ".venv" / "installed"
    if not installed.exists():
        print(f"Installing version 0.1.0 in {root}; this takes about a minute, once.", flush=True)
        _export(root)
        _install(root, python)
        installed.touch()
    return Version(OLD, root, python, "benchmarks.instructions")


def _export(root: Path) -> None:
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", COMMIT], capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(_NO_COMMIT.format(commit=COMMIT[:7]))
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(root, filter="data")


def _install(root: Path, python: Path) -> None:
    """Install what that commit's lock file names, as `make` does for the current tree."""
    subprocess.run([sys.executable, "-m", "venv", str(root / ".venv")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for lock in (ROOT / "requirements-build.lock", root / "requirements-dev.lock"):  # 0.1.0 has none for its build
        subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", "."], cwd=root, check=True)
