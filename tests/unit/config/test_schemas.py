"""The schemas themselves, and what in the code must agree with them."""

import json
from collections.abc import Iterator
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from runner.config import schema_text
from runner.config.place import SECRET_KEYS, KeyPath
from runner.config.reading import EXPANDED
from runner.config.schema_check import _WORDS
from runner.config.schemas import Schema, SchemaKind, schema_data
from runner.config.unbuilt import UNBUILT, UNBUILT_DESTINATIONS

KINDS: list[SchemaKind] = ["profile", "backup"]
ANNOTATIONS = {
    "$schema",
    "$id",
    "$defs",
    "$ref",
    "title",
    "description",
    "examples",
    "writeOnly",
    "patternErrorMessage",
}
STRUCTURE = {"properties", "items", "allOf", "if", "then"}


def parts(schema: Schema, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Schema]]:
    """Every schema in a schema, with its place in it; conditions (`if`) are none."""
    yield path, schema
    for keyword in ("properties", "$defs"):
        for name, part in schema.get(keyword, {}).items():
            yield from parts(part, (*path, keyword, name))
    if "items" in schema:
        yield from parts(schema["items"], (*path, "items"))
    for index, branch in enumerate(schema.get("allOf", ())):
        yield from parts(branch["then"], (*path, "allOf", index, "then"))


def deref(part: Schema, schema: Schema) -> Schema:
    return {**schema["$defs"][part["$ref"].removeprefix("#/$defs/")], **part} if "$ref" in part else part


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_schemas_of_2020_12(kind: SchemaKind) -> None:
    schema = json.loads(schema_text(kind))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:runner:schema:{kind}:1"


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained(kind: SchemaKind) -> None:
    schema = schema_data(kind)
    for path, part in parts(schema):
        if path[-2:-1] in (("properties",), ("$defs",)) or not path:
            assert part["title"], path
            assert part["description"].endswith("."), path
            assert part["examples"], path


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_valid(kind: SchemaKind) -> None:
    schema = schema_data(kind)
    for path, part in parts(schema):
        for example in part.get("examples", ()):
            validator = Draft202012Validator({**part, "$defs": schema.get("$defs", {})})
            assert list(validator.iter_errors(example)) == [], path


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_keys_are_refused_everywhere(kind: SchemaKind) -> None:
    for path, part in parts(schema_data(kind)):
        if "properties" in part and "allOf" not in part:
            assert part["additionalProperties"] is False, path


@pytest.mark.parametrize("kind", KINDS)
def test_every_keyword_has_its_words(kind: SchemaKind) -> None:
    for path, part in parts(schema_data(kind)):
        assert set(part) <= ANNOTATIONS | STRUCTURE | set(_WORDS), path
        assert ("pattern" in part) == ("patternErrorMessage" in part), path
        assert "{" not in part.get("patternErrorMessage", ""), path
        assert part.get("patternErrorMessage", "").isascii(), path


def test_defaults_have_the_parts_of_a_profile() -> None:
    defaults = schema_data("backup")["properties"]["defaults"]["properties"]
    profile = schema_data("profile")["properties"]
    assert set(defaults) == set(profile) - {"version", "description"}
    for name, part in defaults.items():
        assert part.get("type") == profile[name].get("type")


def test_secrets_are_known_by_their_keys() -> None:
    schema = schema_data("profile")
    references = {path[-1] for path, part in parts(schema) if part.get("$ref") == "#/$defs/secret"}
    assert references == SECRET_KEYS
    assert schema["$defs"]["secret"]["writeOnly"] is True


def test_variables_are_filled_in_where_the_schema_has_such_a_value() -> None:
    schema = schema_data("profile")

    def find(steps: list[str], part: Schema) -> bool:
        part = deref(part, schema)
        if not steps:
            return "string" in part["type"]
        if steps[0] == "[]":
            return find(steps[1:], part["items"])
        kinds = [part, *(deref(branch["then"], schema) for branch in part.get("allOf", ()))]
        return any(steps[0] in kind["properties"] and find(steps[1:], kind["properties"][steps[0]]) for kind in kinds)

    for path in EXPANDED:
        assert find(path.replace("[]", ".[]").split("."), schema), path


def test_what_is_not_built_is_in_the_schema() -> None:
    schema = schema_data("profile")
    for path in UNBUILT:
        part = schema
        for step in path:
            part = part["properties"][str(step)]
    kinds = set(schema["$defs"]["destination"]["properties"]["type"]["enum"])
    assert kinds - UNBUILT_DESTINATIONS == {"local"}
    assert kinds > UNBUILT_DESTINATIONS


def test_every_kind_is_chosen_by_its_key() -> None:
    """The branches cover the enum: a kind without a branch would accept any key."""
    schema = schema_data("profile")
    for part, key in ((schema["properties"]["database"], "engine"), (schema["$defs"]["destination"], "type")):
        branches = [branch["if"]["properties"][key]["const"] for branch in part["allOf"]]
        assert branches == part["properties"][key]["enum"]
        for branch in part["allOf"]:
            kind = deref(branch["then"], schema)
            assert kind["properties"][key]["const"] == branch["if"]["properties"][key]["const"]


def test_a_checkout_reads_the_schemas_beside_the_package() -> None:
    assert json.loads(schema_text("profile"))["title"] == "Profile"
    assert files("runner").joinpath("config").is_dir()
