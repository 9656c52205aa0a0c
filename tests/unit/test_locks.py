"""The lock files agree with each other and with the public package index."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

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


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"])
def test_exported_files_are_up_to_date(name: str) -> None:
    """They pin what uv.lock pins, with its hashes (make lock)."""
    for package, (version, hashes) in exported(name).items():
        locked = LOCKED[package]
        files = [*locked.get("wheels", []), *filter(None, [locked.get("sdist")])]
        assert (version, hashes) == (locked["version"], {file["hash"] for file in files}), package


def test_exported_files_are_complete() -> None:
    """The one for development holds every package of uv.lock; those for the build and the run time are parts of it."""
    assert exported("requirements-dev.lock").keys() == LOCKED.keys()
    assert exported("requirements.lock").keys() < LOCKED.keys()
    assert exported("requirements-build.lock").keys() == needed_with(PROJECT["dependency-groups"]["build"])


def test_uv_lock_is_made_from_pyproject() -> None:
    """Every requirement of pyproject.toml is in uv.lock as it is written (make lock)."""
    (ours,) = (package for package in PACKAGES if package["name"] == PROJECT["project"]["name"])
    metadata = ours["metadata"]
    locked = [*metadata["requires-dist"], *(one for group in metadata["requires-dev"].values() for one in group)]
    assert {(one["name"], frozenset(one["specifier"].split(","))) for one in locked} == {
        (name, frozenset(versions.split(",")))
        for name, versions in (re.fullmatch(r"([\w-]+)(.+)", one).groups() for one in REQUIREMENTS)  # type: ignore[union-attr]
    }


def needed_with(requirements: list[str]) -> set[str]:
    """Return the names of packages, and of all that they depend on."""
    names = {re.split("[<>=~! ;]", requirement)[0] for requirement in requirements}
    while further := {each["name"] for name in names for each in LOCKED[name].get("dependencies", [])} - names:
        names |= further
    return names


@pytest.mark.parametrize("kind", ["editable", "sdist", "wheel"])
def test_every_package_that_a_build_runs_is_locked(kind: str) -> None:
    """All that [build-system] names or the backend asks for is in requirements-build.lock, with hashes."""
    ask = f"import hatchling.build as b; print(*b.get_requires_for_build_{kind}(), sep='\\n')"
    asked = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    locked = exported("requirements-build.lock")
    required: list[str] = [*PROJECT["build-system"]["requires"], *asked.split()]
    assert needed_with(required) <= locked.keys()
    for requirement in required:
        name, versions = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
        assert SpecifierSet(versions).contains(locked[name][0]), requirement
    assert all(hashes for _, hashes in locked.values())


BUILD = re.compile(r'.*(pip wheel |-e \.|"-e", "\."|-m build ).*')


def test_no_build_fetches_packages_that_are_not_locked() -> None:
    """An isolated build installs the newest packages that fit, without hashes, and runs them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [name for name in listed.split("\0") if name and not name.endswith((".md", ".png")) and "test_" not in name]
    builds = {
        (path, command[0])
        for path in paths
        for command in BUILD.finditer((ROOT / path).read_text(encoding="utf-8", errors="replace"))
    }
    assert {path for path, _ in builds} == {"Makefile", "Dockerfile", "tests/wheel/run", "benchmarks/versions.py"}
    assert [build for build in builds if not re.search("--no-(build-)?isolation", build[1])] == []


def test_actions_of_the_workflow_are_pinned() -> None:
    """A tag can be moved to another commit; the hash of a commit cannot."""
    used = re.findall(r"uses: *(\S+)", (ROOT / ".github/workflows/ci.yml").read_text())
    assert len(used) == 2
    assert [action for action in used if not re.search(r"@[0-9a-f]{40}$", action)] == []


def test_base_images_can_be_pinned() -> None:
    """Each stage begins with an image that a build argument names, which may have a digest, or with another stage."""
    for path in (ROOT / "Dockerfile", *(ROOT / "deploy").glob("*/Dockerfile")):
        stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", path.read_text(), re.MULTILINE)
        bases = {base for base, _ in stages} - {name for _, name in stages}
        assert re.fullmatch(r"\$\{(PYTHON|DEBIAN)_IMAGE\}", bases.pop()), path
        assert bases == set()


def test_every_dependency_has_a_reason() -> None:
    """CONTRIBUTING.md has a row for each requirement of pyproject.toml."""
    rows = re.findall(r"^\| ([a-z][\w, -]+) \| ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    explained = {name for row in rows for name in row.split(", ")}
    assert {re.split("[<>=]", one)[0] for one in REQUIREMENTS} - explained == set()
