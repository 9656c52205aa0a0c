"""The page /docs: the contract of `openapi.yaml` for people, and the problems the service answers with."""

import html
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from messaging_api.web.pages.templates import render
from messaging_api.web.problems import TABLE

Node = dict[str, Any]
_METHODS = ("get", "post", "delete")


@cache
def contract() -> Node:
    """The contract, as `openapi.yaml` says it."""
    text = files(__package__).joinpath("openapi.yaml").read_text(encoding="utf-8")
    loaded: Node = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 safe, in C
    return loaded


def reference() -> bytes:
    """The page, as HTML."""
    spec = contract()
    values = {
        "root": "./",
        "title": f"{_text(spec['info']['title'])}: for developers",
        "summary": _text(spec["info"]["summary"]),
        "description": _text(spec["info"]["description"]),
        "toc": "".join(_entry(*operation) for operation in _operations(spec)),
        "operations": "".join(_operation(*operation) for operation in _operations(spec)),
        "schemas": "".join(_schema(name, schema) for name, schema in spec["components"]["schemas"].items()),
        "problems": "".join(
            f'<tr id="{row.slug}"><th scope="row"><code>{row.slug}</code></th><td>{row.status}</td>'
            f"<td>{_text(row.title)}. {_text(row.detail or '')}</td></tr>"
            for row in TABLE.values()
        ),
    }
    return render("docs.html", "en", values)


def _text(value: object) -> str:
    return html.escape(str(value))


def _told(node: Node) -> str:
    return _text(node.get("description", ""))


def _follow(node: Node) -> Node:
    """The node that `node` refers to, or itself."""
    if "$ref" not in node:
        return node
    found: Node = contract()
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def _operations(spec: Node) -> Iterator[tuple[str, str, str, Node, list[Node]]]:
    for path, item in spec["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
                yield operation["operationId"], method.upper(), path, operation, parameters


def _entry(name: str, method: str, path: str, operation: Node, _parameters: list[Node]) -> str:
    return f'<li><a href="#{_text(name)}">{method} {_text(path)}</a><br>{_text(operation["summary"])}</li>'


def _operation(name: str, method: str, path: str, operation: Node, parameters: list[Node]) -> str:
    parts = [
        f'<article class="card" id="{_text(name)}">',
        f'<h3><span class="method">{method}</span> <code>{_text(path)}</code></h3>',
        f"<p>{_text(operation['summary'])}</p>",
        f"<p>{_told(operation)}</p>" if "description" in operation else "",
        _parameters(name, [_follow(parameter) for parameter in parameters]),
        _body(name, operation.get("requestBody")),
        _table(name, "Answers", ("status", "what", "as"), (_answer(*one) for one in operation["responses"].items())),
        "</article>",
    ]
    return "".join(parts)


def _table(of: str, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    label = f"{title} of {_text(of)}"
    return f'<h4>{title}</h4><div class="scroll" role="region" aria-label="{label}" tabindex="0">{table}</div>'


def _parameters(of: str, parameters: list[Node]) -> str:
    rows = (
        (
            f"<code>{_text(one['name'])}</code>",
            _text(one["in"]),
            _kind(one["schema"]),
            _told(one),
        )
        for one in parameters
    )
    return _table(of, "Parameters", ("name", "in", "value", "what"), rows) if parameters else ""


def _body(of: str, body: Node | None) -> str:
    if body is None:
        return ""
    rows = ((f"<code>{_text(name)}</code>", _kind(media["schema"])) for name, media in body["content"].items())
    return _table(of, "Body", ("content type", "value"), rows)


def _answer(status: str, response: Node) -> tuple[str, str, str]:
    found = _follow(response)
    kinds = (f"<code>{_text(name)}</code> {_kind(media['schema'])}" for name, media in found.get("content", {}).items())
    headers = "".join(f"<br><code>{_text(name)}</code>" for name in found.get("headers", {}))
    return _text(status), _text(found["description"]) + headers, "<br>".join(kinds)


def _kind(schema: Node) -> str:
    """What a value may be, in a few words; a link to a schema that has a name."""
    if "$ref" in schema:
        name = _text(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{_text(schema['const'])}</code>"
    if "enum" in schema:
        return " | ".join(f"<code>{_text(value)}</code>" for value in schema["enum"])
    types = schema.get("type", "anything")
    words = " or ".join(types) if isinstance(types, list) else str(types)
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return _text(" ".join([words, *([f"({schema['format']})"] if "format" in schema else []), *bounds]))


_BOUNDS = {"minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most"}


def _schema(name: str, schema: Node) -> str:
    needed = schema.get("required", [])
    properties = schema.get("properties", {})
    rows = (
        (
            f"<code>{_text(key)}</code>",
            _kind(value),
            "yes" if key in needed else "no",
            _told(value),
        )
        for key, value in properties.items()
    )
    table = (
        _table(name, "Fields", ("name", "value", "required", "what"), rows) if properties else f"<p>{_kind(schema)}</p>"
    )
    told = f"<p>{_told(schema)}</p>" if "description" in schema else ""
    return f'<article class="card" id="schema-{_text(name)}"><h3><code>{_text(name)}</code></h3>{told}{table}</article>'
