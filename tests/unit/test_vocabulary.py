"""The vocabulary of the source: each class name means one thing, and private words do not come back."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import messaging_api

ROOT = Path(messaging_api.__file__).parent
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
"""The text of each module by its path below the package."""

_PRIVATE = (
    *("bark", "gate", "guard", "journal", "kept", "lane", "patience"),
    *("shells", "site", "standing", "tally", "tallies", "ticket", "works"),
)
BANNED = {form for word in _PRIVATE for form in (word, f"{word}s")}
"""Words that only their author can guess; the standard terms are timeout, limit, log, stored, channel, and so on."""

HTTP = ("cli/", "client/", "server/", "web/")
MEANINGS = {
    "answer": HTTP,  # an HTTP response; a future has a result, Redis sends a reply
    "bound": (),  # a message has limits, a box has associated data, a histogram has buckets
}
"""Words with one meaning, and the folders where names may contain them."""


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module defines: classes, functions, parameters, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store()):
                yield node.attr
            case ast.alias(asname=str(asname)):
                yield asname


def words(name: str) -> set[str]:
    """Split a name at underscores and capitals, to lower case."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def names_with(banned: set[str], sources: Mapping[str, str]) -> set[str]:
    """Return `path: name` for every module and defined name that contains one of the words."""
    return {
        f"{path}: {name}"
        for path, text in sources.items()
        for name in {*defined_names(ast.parse(text)), Path(path).stem}
        if words(name) & banned
    }


def types(sources: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Yield the name and path of each class, type alias and type variable, and whether it is a class."""
    for path, text in sources.items():
        for node in ast.parse(text).body:
            match node:
                case ast.ClassDef(name=name):
                    yield name, path, True
                case ast.Assign(targets=[ast.Name(id=name)]) if re.fullmatch("_?[A-Z][A-Za-z]*[a-z]", name):
                    yield name, path, False


def ambiguous_classes(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the paths of each class whose name is that of another class, type alias or type variable, too."""
    paths = defaultdict(set)
    for name, path, _ in types(sources):
        paths[name].add(path)
    classes = {name for name, _, is_class in types(sources) if is_class}
    return {name: paths[name] for name in classes if len(paths[name]) > 1}


def test_no_class_name_has_two_meanings() -> None:
    """No other class, type alias or type variable in the whole package has the name of a class."""
    assert ambiguous_classes(SOURCES) == {}


def test_operation_has_one_meaning() -> None:
    """An operation is one on a store that has no result yet, and no type is a state of nothing in particular."""
    names = {name for name, _, _ in types(SOURCES)}
    assert {name for name in names if name.endswith("Operation")} <= {"PendingOperation", "TracedOperation"}
    assert names & {"State"} == set()


def test_private_words_name_nothing() -> None:
    """No module, class, function, parameter, variable or attribute is named by a banned word."""
    assert names_with(BANNED, SOURCES) == set()


@pytest.mark.parametrize("word", sorted(MEANINGS))
def test_word_has_one_meaning(word: str) -> None:
    """Names contain the word only in the folders where it has its one meaning."""
    elsewhere = {path: text for path, text in SOURCES.items() if not path.startswith(MEANINGS[word])}
    assert names_with({word, f"{word}s"}, elsewhere) == set()


@pytest.mark.parametrize(
    "planted",
    [
        "class Ticket: ...",
        "class PendingTickets: ...",
        "def open_gate(): ...",
        "def wait(*, patience=1): ...",
        "for kept in (): ...",
        "self._guard = 1",
        "import logging as journal",
    ],
)
def test_banned_word_is_found(planted: str) -> None:
    """The check sees every kind of definition."""
    assert len(names_with(BANNED, {"a.py": planted})) == 1


def test_banned_module_is_found() -> None:
    """The check sees the names of modules, and only whole words."""
    assert names_with(BANNED, {"web/guard.py": "", "web/safeguard.py": "navigate = 1"}) == {"web/guard.py: guard"}


def test_class_name_with_two_meanings_is_found() -> None:
    """The check sees a class beside a class, and beside a type variable."""
    planted = {
        "a.py": "class Item: ...\nclass Draft: ...",
        "b.py": "Item = TypeVar('Item')",
        "c.py": "class Draft: ...",
    }
    assert ambiguous_classes(planted) == {"Item": {"a.py", "b.py"}, "Draft": {"a.py", "c.py"}}
