"""The OpenAPI contract: `web/openapi.yaml`, completed with the schemas of the types in `web/schemas.py`."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml

from messaging_api.web.schemas import COMPONENTS

Node = dict[str, Any]
_REF = "#/components/schemas/"


def contract_json() -> bytes:
    """Return the contract as the service serves it at /openapi.json."""
    return json.dumps(contract(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@cache
def contract() -> Node:
    """Return the contract.

    What openapi.yaml says of a schema (rules that a type cannot express, examples) is added to the derived one. Raises
    ValueError if it says something of a schema that does not exist.
    """
    loaded: Node = yaml.safe_load(files("messaging_api.web").joinpath("openapi.yaml").read_text(encoding="utf-8"))
    derived, additions = _derived(), loaded["components"].get("schemas", {})
    if unknown := additions.keys() - derived.keys():
        raise ValueError(f"openapi.yaml: no type has the schemas {sorted(unknown)}")
    loaded["components"]["schemas"] = {name: {**schema, **additions.get(name, {})} for name, schema in derived.items()}
    for operation in (loaded["paths"]["/"]["post"], loaded["paths"]["/{name}"]["put"]):
        operation["parameters"] += _query_parameters(derived["Form"])
    return loaded


def _query_parameters(form: Node) -> list[Node]:
    """Return the query parameters of POST and PUT: the fields of a form except the message, which is the body."""
    description = "The same as the field of a form. Only if the body is the message itself."
    return [
        {"name": name, "in": "query", "description": description, "schema": schema}
        for name, schema in form["properties"].items()
        if name != "message"
    ]


def _derived() -> Node:
    """Return the schema of each type, without titles, which would only repeat the names of the Python classes."""
    roots, components = msgspec.json.schema_components(COMPONENTS.values(), ref_template=_REF + "{name}")
    named = {
        name: components.pop(root["$ref"].removeprefix(_REF)) if "$ref" in root else root
        for name, root in zip(COMPONENTS, roots, strict=True)
    }
    schemas = {**named, **components}
    for schema in schemas.values():
        schema.pop("title", None)
    return schemas
