"""Claims of the documents about the code."""

import re
import subprocess
from pathlib import Path

import httpx

from messaging_api import __version__
from scripts.settings_docs import settings_table, with_table
from tests.support.service import serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))


def test_settings_page_matches_the_code() -> None:
    """`make settings-docs` would change nothing."""
    text = (ROOT / "docs" / "settings.md").read_text()
    assert settings_table() in text
    assert with_table(text) == text


def test_readme_examples_with_curl_work(tmp_path: Path) -> None:
    """The README's examples with curl run as written, and a text with + and % arrives unaltered."""
    (tmp_path / "notes.txt").write_text("a note")
    tour = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert tour
    with serving(tmp_path / "service", f"sqlite://{tmp_path}/m.db") as service:
        script = tour[1].replace("http://127.0.0.1:5000", service.url)
        ran = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stdout.endswith("Pa+ss%41")
        assert ran.stdout.count('"status":200') == 3
        assert httpx.get(service.url).json()["version"] == __version__


def test_changelog_has_an_entry_for_this_version() -> None:
    """The newest released entry is for this version; only unreleased changes may be above it."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    assert headings[:1] == ["Unreleased"] or headings[:1] == [__version__]
    assert next(heading for heading in headings if heading != "Unreleased") == __version__


def test_image_label_has_this_version() -> None:
    """The Dockerfile labels the image with this version by default."""
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_redis_permissions_are_the_same_everywhere() -> None:
    """The security page and the template for containers give the service's user the same permissions."""
    given = [re.findall("user messaging_api .*(~.*)", (ROOT / name).read_text()) for name in
             ("docs/security.md", "deploy/redis/users.acl.template")]  # fmt: skip
    assert len(given[0]) == 1
    assert given[0] == given[1]


def test_relative_links_resolve() -> None:
    """Each relative link in a document leads to a file."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_decision_records_are_complete_and_listed() -> None:
    """Each record has a date, a status and all sections, and the index lists the same title, date and status."""
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    sections = ["Context", "Decision", "Alternatives", "Consequences"]
    for path in sorted(folder.glob("[0-9]*.md")):
        text = path.read_text()
        head = re.match(r"# (\d+)\. (.+)\n\n- Date: (\d{4}-\d\d-\d\d)\n- Status: (accepted|superseded in part)", text)
        assert head, path.name
        row = re.search(
            rf"^\| \[(\d+)\]\({path.name}\) \| (.+) \| (\S+) \| (accepted|superseded in part)", index, re.MULTILINE
        )
        assert row, path.name
        assert row.groups() == head.groups(), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == sections, path.name


def test_files_named_in_documents_exist() -> None:
    """A test, script or deployment file that a document names in backticks, also as TESTS=…, exists."""
    named = re.compile(r"`(?:make \S+ TESTS=)?((?:deploy|scripts|tests)/[\w./-]*)`")
    found = {(document.name, path) for document in DOCUMENTS for path in named.findall(document.read_text())}
    assert found
    assert {(name, path) for name, path in found if not (ROOT / path).exists()} == set()


def test_modules_named_in_documents_exist() -> None:
    """A path below src/messaging_api that a document names in backticks exists, or is gone if marked as removed."""
    package = ROOT / "src" / "messaging_api"
    folders = "|".join(path.name for path in package.iterdir() if path.is_dir())
    named = re.compile(rf"`((?:{folders})/[\w./-]*)`( \(removed\))?")
    found = [
        (document.name, path, bool(removed))
        for document in DOCUMENTS
        for path, removed in named.findall(document.read_text())
    ]
    assert found
    assert [(name, path) for name, path, removed in found if (package / path).exists() == removed] == []
