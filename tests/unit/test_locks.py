"""The lock files agree with each other and with the public package index."""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS: list[str] = [
    *PROJECT["project"]["dependencies"],
    *(one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra),
    *(one for group in PROJECT["dependency-groups"].values() for one in group if isinstance(one, str)),
]
PACKAGES: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
LOCKED = {package["name"]: package for package in PACKAGES if "registry" in package["source"]}


def exported(name: str) -> dict[str, tuple[str, set[str]]]:
    """Return the version and the hashes of each package in an exported file."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    return {
        line.split("==")[0]: (line.split("==")[1].split()[0], set(re.findall(r"--hash=(\S+)", line)))
        for line in text.splitlines()
    }


def test_no_package_is_pinned_in_two_versions() -> None:
    """One resolution for everything, on every supported Python."""
    assert [name for name, count in Counter(package["name"] for package in PACKAGES).items() if count > 1] == []


def test_all_packages_come_from_the_public_index() -> None:
    """No package comes from a mirror that only some machines can reach."""
    assert {package["source"]["registry"] for package in LOCKED.values()} == {"https://pypi.org/simple"}
    files = [file for package in LOCKED.values() for file in [*package.get("wheels", []), package.get("sdist")] if file]
    assert {file["url"].split("/")[2] for file in files} == {"files.pythonhosted.org"}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_exported_files_are_up_to_date(name: str) -> None:
    """They pin what uv.lock pins, with its hashes (make lock)."""
    for package, (version, hashes) in exported(name).items():
        locked = LOCKED[package]
        files = [*locked.get("wheels", []), *filter(None, [locked.get("sdist")])]
        assert (version, hashes) == (locked["version"], {file["hash"] for file in files}), package


def test_exported_files_are_complete() -> None:
    """The one for development holds every package of uv.lock; the one for the run time is a part of it."""
    assert exported("requirements-dev.lock").keys() == LOCKED.keys()
    assert exported("requirements.lock").keys() < LOCKED.keys()


def test_uv_lock_is_made_from_pyproject() -> None:
    """Every requirement of pyproject.toml is in uv.lock as it is written (make lock)."""
    (ours,) = (package for package in PACKAGES if package["name"] == PROJECT["project"]["name"])
    metadata = ours["metadata"]
    locked = [*metadata["requires-dist"], *(one for group in metadata["requires-dev"].values() for one in group)]
    assert {(one["name"], frozenset(one["specifier"].split(","))) for one in locked} == {
        (name, frozenset(versions.split(",")))
        for name, versions in (re.fullmatch(r"([\w-]+)(.+)", one).groups() for one in REQUIREMENTS)  # type: ignore[union-attr]
    }


def test_build_requirements_have_the_same_versions() -> None:
    """A package that the build and other parts both need is pinned in one version."""
    pinned = dict(requirement.split("==") for requirement in PROJECT["build-system"]["requires"])
    assert [name for name in pinned.keys() & LOCKED.keys() if pinned[name] != LOCKED[name]["version"]] == []


def test_every_dependency_has_a_reason() -> None:
    """CONTRIBUTING.md has a row for each requirement of pyproject.toml."""
    rows = re.findall(r"^\| ([a-z][\w, -]+) \| ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    explained = {name for row in rows for name in row.split(", ")}
    assert {re.split("[<>=]", one)[0] for one in REQUIREMENTS} - explained == set()
