"""The page /docs: examples, the contract and the table of problems as HTML.

The address https://msg.example stands for that of the service, which `web/pages/pages.py` fills in.
"""

import html
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from messaging_api.web.pages.templates import render
from messaging_api.web.problems import TABLE
from scripts.contract import Node, contract

_METHODS = ("get", "post", "put", "delete")
_PROBLEM = "#/components/responses/Problem"
_CONSTRAINTS = {"minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most"}

_SHOWN = {"posted": "Posted", "receipt": "Receipt", "problem": "Problem"}
"""The schemas whose examples are shown as responses."""


class _Operation(NamedTuple):
    method: str
    path: str
    node: Node
    parameters: list[Node]

    @property
    def name(self) -> str:
        return str(self.node["operationId"])


def api_docs() -> bytes:
    """Return the page."""
    spec = contract()
    operations = list(_operations(spec))
    values = {
        "root": "./",
        "title": f"{_text(spec['info']['title'])}: for developers",
        "summary": _text(spec["info"]["summary"]),
        "description": _paragraphs(spec["info"]),
        **{name: _example(spec, schema) for name, schema in _SHOWN.items()},
        "toc": "".join(map(_toc_entry, operations)),
        "operations": "".join(map(_article, operations)),
        "schemas": "".join(_schema(name, schema) for name, schema in spec["components"]["schemas"].items()),
        "problems": "".join(
            f'<tr id="{row.slug}"><th scope="row"><code>{row.slug}</code><br>{row.status}</th>'
            f"<td>{_text(row.title)}. {_text(row.detail or '')}</td></tr>"
            for row in TABLE.values()
        ),
    }
    return render("docs.html", "en", values)


def _example(spec: Node, schema: str) -> str:
    return _text(json.dumps(spec["components"]["schemas"][schema]["examples"][0], indent=2))


def _text(value: object) -> str:
    return html.escape(str(value))


def _description(node: Node) -> str:
    """Return the description of `node`, or that of the first alternative that has one."""
    alternatives = node.get("anyOf", [])
    return _text(next((each["description"] for each in [node, *alternatives] if "description" in each), ""))


def _paragraphs(node: Node) -> str:
    """Return the description as HTML paragraphs, which an empty line separates."""
    return "".join(f"<p>{part}</p>" for part in _description(node).split("\n\n") if part)


def _resolve(node: Node) -> Node:
    """Return the node that `node` refers to, or `node` itself."""
    if "$ref" not in node:
        return node
    found: Any = contract()
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def _operations(spec: Node) -> Iterator[_Operation]:
    for path, item in spec["paths"].items():
        for method in _METHODS:
            if method in item:
                node = item[method]
                parameters = [*item.get("parameters", []), *node.get("parameters", [])]
                yield _Operation(method.upper(), path, node, [_resolve(parameter) for parameter in parameters])


def _toc_entry(operation: _Operation) -> str:
    link = f'<a href="#{_text(operation.name)}">{operation.method} {_text(operation.path)}</a>'
    return f"<li>{link}<br>{_text(operation.node['summary'])}</li>"


def _article(operation: _Operation) -> str:
    name, node = operation.name, operation.node
    parts = [
        f'<article class="card" id="{_text(name)}">',
        f'<h3><span class="method">{operation.method}</span> <code>{_text(operation.path)}</code></h3>',
        f"<p>{_text(node['summary'])}</p>",
        _paragraphs(node),
        _parameters(name, operation.parameters),
        _request_body(name, node.get("requestBody")),
        _table(name, "Responses", ("status", "meaning", "body"), _responses(node["responses"])),
        "</article>",
    ]
    return "".join(parts)


def _table(owner: str, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table with a heading. Cells are HTML; `owner` makes the table's accessible name unique."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    label = f"{title} of {_text(owner)}"
    return f'<h4>{title}</h4><div class="scroll" role="region" aria-label="{label}" tabindex="0">{table}</div>'


def _parameters(owner: str, parameters: list[Node]) -> str:
    rows = (
        (f"{_code(one['name'])}<br>in {_text(one['in'])}: {_value(one['schema'])}", _description(one))
        for one in parameters
    )
    return _table(owner, "Parameters", ("name", "meaning"), rows) if parameters else ""


def _request_body(owner: str, body: Node | None) -> str:
    if body is None:
        return ""
    rows = ((_code(name), _value(media["schema"])) for name, media in body["content"].items())
    return _table(owner, "Body", ("content type", "value"), rows)


def _responses(responses: Node) -> Iterator[tuple[str, str]]:
    """Yield one row for each response, and one for all errors."""
    errors = [status for status, response in responses.items() if response.get("$ref") == _PROBLEM]
    yield from (_response(status, response) for status, response in responses.items() if status not in errors)
    statuses = ", ".join("any other" if status == "default" else status for status in errors)
    yield statuses, 'An error: see <a href="#problems">Problems</a>.'


def _response(status: str, response: Node) -> tuple[str, str]:
    found = _resolve(response)
    bodies = "".join(f"<br>{_code(name)} {_value(media['schema'])}" for name, media in found.get("content", {}).items())
    headers = ", ".join(map(_code, found.get("headers", {})))
    return _text(status), _description(found) + bodies + (f"<br>Headers: {headers}" if headers else "")


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>"


def _value(schema: Node) -> str:
    """Return what values a schema allows, in a few words; a link for a schema that has a name."""
    if "$ref" in schema:
        name = _text(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_value, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(_code, schema["enum"]))
    words = [schema.get("type", "anything"), f"({schema['format']})" if "format" in schema else ""]
    words += [f"{word} {schema[key]}" for key, word in _CONSTRAINTS.items() if key in schema]
    return _text(" ".join(word for word in words if word))


def _schema(name: str, schema: Node) -> str:
    required = schema.get("required", [])
    rows = [
        (f"{_code(key)}<br>{_value(value)}{', required' * (key in required)}", _description(value))
        for key, value in schema.get("properties", {}).items()
    ]
    parts = [
        f'<article class="card" id="schema-{_text(name)}"><h3>{_code(name)}</h3>',
        _paragraphs(schema),
        _table(name, "Fields", ("name", "meaning"), rows),
        *(f"<p>Example: {_code(json.dumps(example))}</p>" for example in schema.get("examples", [])),
        "</article>",
    ]
    return "".join(parts)
