"""Programs of other projects that tests run."""

import shutil


def need(program: str, package: str) -> str:
    """Return the path of `program`. Fails with the command that installs it, the Debian package `package`."""
    found = shutil.which(program)
    assert found, f"this test needs {program}: apt-get install {package}"
    return found
