"""The public schema of the manifest is that of the classes, and real manifests fit it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from docs.make_manifest_schema import TARGET, manifest_schema, schema_text
from tests.projects import postgresql_project, sqlite_project
from tests.servers.postgresql import Cluster


def test_the_file_is_made_from_the_classes() -> None:
    assert TARGET.read_text("utf-8") == schema_text(), "run: python docs/make_manifest_schema.py"


def test_every_record_is_described_and_closed() -> None:
    schema = manifest_schema()
    for record in (schema, *schema["$defs"].values()):
        assert record["description"]
        assert record["additionalProperties"] is False
    jsonschema.Draft202012Validator.check_schema(schema)


def manifest_of(archive: Path) -> dict[str, Any]:
    with zipfile.ZipFile(archive) as opened:
        content: dict[str, Any] = json.loads(opened.read("manifest.json"))
    return content


def test_the_manifest_of_a_sqlite_archive_fits(tmp_path: Path) -> None:
    manifest = manifest_of(sqlite_project(tmp_path / "project").apply())
    jsonschema.validate(manifest, manifest_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**manifest, "surprise": 1}, manifest_schema())


def test_the_manifest_of_a_postgresql_archive_fits(tmp_path: Path, cluster: Cluster, pagila: str) -> None:
    manifest = manifest_of(postgresql_project(tmp_path / "project", cluster, pagila).apply())
    jsonschema.validate(manifest, manifest_schema())
    assert len(manifest["database"]["tables"]) == 22
