"""The web pages as files and responses. Their behaviour in a browser is tested in tests/browser."""

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from messaging_api.core.message import MessageLimits
from messaging_api.web.http_errors import MethodNotAllowed
from messaging_api.web.negotiation import accepts
from messaging_api.web.negotiation import language as best_language
from messaging_api.web.pages import assets
from messaging_api.web.pages.pages import Pages
from messaging_api.web.pages.words import words
from messaging_api.web.problems import TABLE, problem_of
from messaging_api.web.responses import Response
from tests.support.requests import header_fields

STATIC = Path(assets.__file__).with_name("static")
NAMES = ("index", "reader", "receipt")
PAGES = Pages(MessageLimits())
LANGUAGES = tuple(words())


class Links(HTMLParser):
    """The links, ids and inline code of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on") or name == "style" or tag == "style":
                self.inline.append(name)


def sent(response: Response) -> dict[bytes, bytes]:
    """The header fields that a response brings."""
    return header_fields(response.block.plain + response.lines)


def body(name: str, **headers: str) -> str:
    """Return the page `name` for a request with these headers."""
    fields = {key.replace("_", "-").encode(): value.encode() for key, value in headers.items()}
    return page(name, fields).body.decode()


def page(name: str, headers: dict[bytes, bytes]) -> Response:
    return PAGES.docs("https://h") if name == "docs" else PAGES.page(name, headers)


def places(text: str | dict[str, str]) -> set[str]:
    """Return the places for values in a text, in any of its plural forms."""
    forms = [text] if isinstance(text, str) else text.values()
    return {place for form in forms for place in re.findall(r"\{\w+\}", form)}


def texts(language: str) -> dict[str, Any]:
    """Return all texts of a language, by `group.key`."""
    groups = words()[language].items()
    return {f"{group}.{key}": text for group, found in groups if group != "grammar" for key, text in found.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_complete(language: str) -> None:
    """A language has the texts of English, with the same places in them; a form for one number may omit the number."""
    english = texts("en")
    assert texts(language).keys() == english.keys()
    for key, text in texts(language).items():
        assert places(text) | {"{n}"} == places(english[key]) | {"{n}"}, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_its_plural_forms(language: str) -> None:
    """A text with plural forms has one for each category of its language and no further ones."""
    categories = {*words()[language]["grammar"]["plurals"], "other"}
    assert {key: set(text) for key, text in texts(language).items() if isinstance(text, dict)} == {
        key: categories for key, text in texts(language).items() if isinstance(text, dict)
    }


@pytest.mark.parametrize(("language", "expected"), [("en", "1,000 times"), ("de", "1.000-mal")])
def test_numbers_are_written_as_the_language_requires(language: str, expected: str) -> None:
    """The separator of thousands is that of the language: elsewhere a comma begins the decimals."""
    assert expected in body("index", accept_language=language)


def test_every_text_is_used() -> None:
    """A template, a script or a module of the package uses it."""
    sources = "".join(path.read_text() for path in [*STATIC.glob("*.html"), *STATIC.glob("*.js")])
    sources += "".join(path.read_text() for path in STATIC.parent.glob("*.py"))
    used_by_state = {"available", "read", "burned", "expired", *re.findall(r'\d+: "(\w+)"', assets.source("api.js"))}
    for name in texts("en"):
        group, key = name.split(".")
        used = re.search(rf"""["{{]{group}\.{key}["}}]|"{key}"|\$\{{group}}\.{key}`""", sources)
        assert used or key in used_by_state or key in {"title", "offline", "unexpected"}, name


@pytest.mark.parametrize("name", NAMES)
def test_page_is_in_the_preferred_language(name: str) -> None:
    """German is for browsers that prefer it, English for all others."""
    assert '<html lang="de" ' in body(name, accept_language="de-AT,de;q=0.9,en;q=0.8")
    assert '<html lang="en" ' in body(name, accept_language="tlh, en;q=0.1")
    assert '<html lang="en" ' in body(name)


@pytest.mark.parametrize("name", [*NAMES, "docs"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_page_links_to_its_own_server_only(name: str, language: str) -> None:
    """Every link is relative, so that pages also work below a path, and files are named by their hash."""
    seen = Links(body(name, accept_language=language))
    root = "../" if name in ("reader", "receipt") else "./"
    for link in seen.links:
        assert link.startswith((root, "#", "?lang=")), link
        if "/assets/" in link:
            assert PAGES.asset(link.rpartition("/")[2], {}) is not None
    assert len(seen.ids) == len(set(seen.ids))


@pytest.mark.parametrize("name", [*NAMES, "docs"])
def test_page_has_no_inline_code(name: str) -> None:
    """It has no inline script, style or handler; the policy forbids them and all other origins."""
    text = body(name)
    assert Links(text).inline == []
    assert not re.search(r'<script(?! type="(module" src=|application/json" id=))', text)
    policy = sent(page(name, {}))[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy


def test_scripts_do_not_parse_text_as_html() -> None:
    """No script, not even the vendored one, has a statement that parses HTML or code."""
    for path in STATIC.rglob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", path.read_text()
        ), path


def test_encoding_follows_accept_encoding() -> None:
    """Brotli is preferred over gzip, gzip over none; the decompressed content is the same."""
    for name, content in assets.assets().values():
        plain = PAGES.asset(name, {})
        zipped = PAGES.asset(name, {b"accept-encoding": b"gzip"})
        packed = PAGES.asset(name, {b"accept-encoding": b"gzip, deflate, br"})
        assert plain
        assert zipped
        assert packed
        assert plain.body == content == gzip.decompress(zipped.body)
        assert sent(zipped)[b"content-encoding"] == b"gzip"
        assert sent(packed)[b"content-encoding"] == b"br", "not packed: make install"
        assert len(packed.body) <= len(zipped.body)
        assert b"immutable" in sent(plain)[b"cache-control"]
    assert PAGES.asset("style.css", {}) is None


def test_page_script_contains_its_modules() -> None:
    """A page script contains each module once and has no static import."""
    for name in assets.ENTRIES:
        script = assets.assets()[name][1].decode()
        assert not re.search(r"^import ", script, re.MULTILINE)
        assert script.count("export class Failure ") == 1


def test_offered_lifetimes_follow_the_settings() -> None:
    """The longest lifetime that the service accepts is offered, and none beyond it."""
    pages = Pages(MessageLimits(max_bytes=1000, max_ttl=5400, default_ttl=60))
    text = pages.page("index", {}).body.decode()
    lives = re.findall(r'<option value="(\d+)"', text.split('name="ttl"')[1].split("</select>")[0])
    assert lives == ["300", "3600", "5400"]
    assert "in 90 minutes" in text
    data = json.loads(text.split('id="page">')[1].split("</script>")[0])
    assert data["limits"] == {"max_message_bytes": 1000, "max_ttl": 5400, "resume_seconds": 60}


def test_response_to_a_plain_form_has_both_links() -> None:
    """Link and receipt are escaped; the page is not compressed and is in the language of the browser."""
    page = PAGES.created(
        "http://h/msg/<1>", "http://h/receipt/2", "2026-12-01T08:00:00.000Z", 3, {b"accept-language": b"de"}
    )
    text = page.body.decode()
    assert 'href="http://h/msg/&lt;1&gt;"' in text
    assert 'href="http://h/receipt/2"' in text
    assert "2026-12-01 08:00 UTC" in text
    assert "3-mal" in text
    assert b"content-encoding" not in sent(page)


def test_problem_page_shows_the_problem() -> None:
    """The page shows the escaped problem, has its status and headers, and links home."""
    refusal = problem_of(MethodNotAllowed("<GET>"))
    page = PAGES.problem(refusal, "/msg/x", {b"accept-language": b"de"})
    text = page.body.decode()
    assert page.status == 405
    assert page.lines == refusal.lines == b"allow: <GET>\r\n"
    assert page.reason == refusal.reason
    assert sent(page)[b"content-type"].startswith(b"text/html")
    assert "This address has &lt;GET&gt;." in text
    assert '<html lang="de" ' in text
    assert 'class="brand home" href="/"' in text


def test_docs_contain_every_problem_and_operation() -> None:
    """The type of each problem links to a row, and each operation has a section."""
    ids = Links(body("docs")).ids
    assert {row.slug for row in TABLE.values()} <= set(ids)
    assert {"describe", "post", "read", "receipt", "burn", "schema-Draft"} <= set(ids)


def test_docs_have_the_address_of_the_service() -> None:
    """In every example; no address of another server is left."""
    text = PAGES.docs("https://h/<x>").body.decode()
    assert text.count("https://h/&lt;x&gt;") >= 10
    assert "msg.example" not in text


def test_docs_say_something_about_every_field() -> None:
    """A sentence each, in the tables of fields and of parameters; errors have one row for each operation."""
    text = body("docs")
    fields = re.findall(r"<tr><td><code>([\w-]+)</code><br>.*?</td><td>([^<]*)</td></tr>", text)
    assert len(fields) > 30
    assert [name for name, meaning in fields if not re.fullmatch(r"[A-Z`].*[.]", meaning)] == []
    operations = re.findall(r'<h3><span class="method">', text)
    assert text.count('An error: see <a href="#problems">Problems</a>.') == len(operations)


def test_links_within_the_docs_resolve() -> None:
    """Each link to #… of /docs has a target."""
    seen = Links(body("docs"))
    assert {link[1:] for link in seen.links if link.startswith("#")} <= set(seen.ids)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("", "en"), ("de", "de"), ("DE-ch", "de"), ("en;q=0.2, de;q=0.3", "de"), ("de;q=0", "en"), ("x" * 900, "en")],
)
def test_best_language(accept: str, expected: str) -> None:
    """The result is the most preferred language among those available."""
    assert best_language(accept.encode(), ("en", "de")) == expected


@pytest.mark.parametrize(
    ("header", "expected"), [("gzip, br", True), ("br;q=0", False), ("", False), ("*", False), ("xbr", False)]
)
def test_accepts(header: str, expected: bool) -> None:  # noqa: FBT001 a case of the test
    """A coding is accepted only if it is named, and not with q=0."""
    assert accepts(header.encode(), "br") is expected
