"""The JSON Schemas that ship with runner, as text and as data."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

SchemaKind = Literal["profile", "backup", "manifest"]
Schema = dict[str, Any]


def schema_text(kind: SchemaKind) -> str:
    """The text of a schema: from the installed package, or from `schema/` beside it in a checkout."""
    name = f"{kind}.schema.json"
    installed = files("runner").joinpath("schema", name)
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "schema" / name).read_text(encoding="utf-8")


@cache
def schema_data(kind: SchemaKind) -> Schema:
    """A schema as data; not to be changed."""
    return cast("Schema", json.loads(schema_text(kind)))
