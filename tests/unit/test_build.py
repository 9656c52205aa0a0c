"""What the build of the package generates: the contract and the page /docs."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import jsonschema
import msgspec
import pytest

from messaging_api.settings.server import Settings
from messaging_api.web import schemas
from messaging_api.web.pages.assets import generated
from scripts.api_docs import api_docs
from scripts.contract import contract, contract_json

SCHEMAS = contract()["components"]["schemas"]
LIMITS = ("max_message_bytes", "max_ttl")


def test_generated_files_are_current() -> None:
    """The service serves the contract and the docs that the sources describe; `make install` generates them again."""
    assert json.loads(generated("openapi.json").read_bytes()) == contract()
    assert generated("openapi.json").read_bytes() == contract_json()
    assert generated("docs.html").read_bytes() == api_docs()


def test_every_json_type_is_in_the_contract() -> None:
    """No type of a JSON body is missing."""
    types = {kind for kind in vars(schemas).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    assert types - {msgspec.Struct} == set(schemas.COMPONENTS.values()) | {schemas.ServiceLimits}
    assert set(schemas.COMPONENTS) | {"ServiceLimits"} == set(SCHEMAS)


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "examples" in schema])
def test_examples_are_valid(name: str) -> None:
    """Each example has the shape of its schema."""
    validator = jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}},
        format_checker=jsonschema.FormatChecker(),
    )
    for example in SCHEMAS[name]["examples"]:
        validator.validate(example)


def test_query_parameters_are_the_options_of_a_form() -> None:
    """text/plain takes from the query what a form takes, except for the message."""
    parameters = [each for each in contract()["paths"]["/"]["post"]["parameters"] if each.get("in") == "query"]
    assert {each["name"]: each["schema"] for each in parameters} == {
        name: schema for name, schema in SCHEMAS["Form"]["properties"].items() if name != "message"
    }


def test_no_limit_of_the_contract_contradicts_a_setting() -> None:
    """Each service has limits of its own and all serve one contract: it accepts what any setting can allow.

    The limits of a service are in its response to GET /, which the contract refers to.
    """
    most = {
        spec.name: int(spec.metadata["shape"].rpartition(" to ")[2]) for spec in fields(Settings) if spec.name in LIMITS
    }
    draft = {"message": "x" * most["max_message_bytes"], "ttl": most["max_ttl"]}
    (query,) = (each for each in contract()["paths"]["/"]["post"]["parameters"] if each.get("name") == "ttl")
    for schema, value in ((SCHEMAS["Draft"], draft), (SCHEMAS["Form"], draft), (query["schema"], draft["ttl"])):
        jsonschema.Draft202012Validator(schema).validate(value)
    for field, limit in (("message", "max_message_bytes"), ("ttl", "max_ttl")):
        assert limit in SCHEMAS["ServiceLimits"]["properties"]
        for schema in (SCHEMAS["Draft"], SCHEMAS["Form"]):
            assert f"{limit} of GET /" in json.dumps(schema["properties"][field])


def test_references_resolve() -> None:
    """Each $ref of the contract leads to a part of it."""
    text = contract_json().decode()
    for path in {part.split('"')[0] for part in text.split('"$ref":"#/')[1:]}:
        found = contract()
        for step in path.split("/"):
            found = found[step]


def nulls(node: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each null in a part of the contract, except for defaults."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from nulls(value, f"{path}/{key}")
    elif node is None and not path.endswith("/default"):
        yield path


def test_no_description_is_cut_off() -> None:
    """An unquoted text between braces ends at a comma in YAML; the rest becomes a key without a value."""
    assert list(nulls(contract())) == []
