"""Small disks that really become full. Mounting them needs root."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a tmpfs of this size, such as 16k, in `folder` for a block, and yield its path."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    assert mounted.returncode == 0, f"this test mounts a small tmpfs, which failed: {mounted.stderr.decode()}"
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, spare: int = 0, name: str = "filler") -> Path:
    """Fill a disk but for `spare` bytes, and return the file that does it."""
    filler = disk / name
    with filler.open("wb", buffering=0) as file:
        for block in (65_536, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(block))
        file.truncate(filler.stat().st_size - spare)
    return filler
