"""Writes schema/manifest.schema.json from the classes that read and write manifests.

    python docs/make_manifest_schema.py

A test fails when the file is not what this makes.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from runner.model.manifest import FORMAT_VERSION, Manifest

TARGET = Path(__file__).parent.parent / "schema" / "manifest.schema.json"

EXAMPLES: dict[str, list[Any]] = {
    "format_version": [FORMAT_VERSION],
    "archive_id": ["20260108_110353-5f2c9a1e"],
    "profile": ["school"],
    "instance": ["lycee-nord"],
    "host": ["server-1"],
    "variant": ["full"],
    "created_at": ["2026-01-08T10:03:53+00:00"],
    "created_at_local": ["2026-01-08T11:03:53+01:00"],
    "runner_version": ["0.1.0"],
}


def manifest_schema() -> dict[str, Any]:
    """The schema: every record with its description, no key that is not described."""
    generated = msgspec.json.schema(Manifest)
    definitions: dict[str, Any] = generated["$defs"]
    top = definitions.pop("Manifest")
    for key, examples in EXAMPLES.items():
        top["properties"][key]["examples"] = examples
    for definition in (top, *definitions.values()):
        definition["description"] = " ".join(str(definition["description"]).split())
    top["properties"]["format_version"]["const"] = FORMAT_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:runner:schema:manifest:{FORMAT_VERSION}",
        "title": "Manifest of a runner archive",
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": definitions,
    }


def schema_text() -> str:
    """The file's content."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(schema_text(), "utf-8")
