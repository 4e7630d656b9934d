"""`docs/json.md` explains every key that a command gives to programs, and no other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runner.model.plan import Action
from runner.workflow.catalogue import Mark
from tests.projects import Project, sqlite_project

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMMON = {"format_version", "status", "exit_code", "errors", "warnings"}
# What is described elsewhere, or is data: a manifest, a schema, the names of folders.
CLOSED = {"manifest", "schema", "database", "media", "references", "folders", "errors", "warnings"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    extra = 'schedule: {daily: "23:00"}\nnotify: [{webhook: {env: NOT_THERE}, on: [overdue]}]\n'
    project = sqlite_project(tmp_path_factory.mktemp("page") / "project", rows=40, extra=extra)
    project.apply()
    (project.folder / "elsewhere").mkdir()
    assert project.run("restore", "app", "--yes").returncode == 0  # something to undo
    return project


def keys_of(value: Any) -> set[str]:
    """Every key in a document, those of what is described elsewhere left out."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys_of(content) for key, content in value.items() if key not in CLOSED))


RUNS = [
    ("validate",),
    ("apply", "app"),
    ("apply", "app", "--dry-run"),
    ("apply", "--all"),
    ("list", "app"),
    ("show", "app"),
    ("show", "app", "--match", "*.pdf"),
    ("verify", "app"),
    ("restore", "app", "--dry-run"),
    ("restore", "app", "--yes"),
    ("undo", "app", "--yes"),
    ("recover", "app"),
    ("demo", "school"),
    ("init", "elsewhere", "--database", "school.sqlite3", "--yes"),
    ("schema", "backup"),
    ("status",),
    ("doctor", "app"),
    ("schedule", "install", "app", "--with", "cron", "--print"),
    ("run-due",),
    ("notify", "test", "app"),
]


@pytest.mark.parametrize("arguments", RUNS, ids=" ".join)
def test_every_key_is_explained(project: Project, arguments: tuple[str, ...]) -> None:
    document = json.loads(project.run(*arguments, "--format", "json").stdout)
    assert set(document) > COMMON
    own = {key: value for key, value in document.items() if key not in COMMON}
    page = SECTIONS[arguments[0]] + (SECTIONS["apply"] if arguments[0] in ("demo", "init", "run-due") else "")
    assert {key for key in keys_of(own) if f"`{key}`" not in page} == set()


def test_every_command_has_its_section_and_every_problem_its_parts(project: Project) -> None:
    assert set(SECTIONS) - {"In every object"} == {arguments[0] for arguments in RUNS}
    (project.folder / "wrong.yml").write_text("version: 2\n", "utf-8")
    document = json.loads(project.run("validate", "wrong.yml", "--format", "json").stdout)
    assert document["problems"]
    assert {key for key in keys_of(document["problems"]) if f"`{key}`" not in SECTIONS["validate"]} == set()
    for finding in document["errors"]:
        assert set(finding) == set(re.findall(r'"(\w+)"', SECTIONS["In every object"]))


def test_no_row_explains_what_is_not_there(project: Project) -> None:
    documents = [
        json.loads(project.run(*run, "--format", "json").stdout) for run in RUNS if run[0] not in ("demo", "init")
    ]
    given = set().union(*map(keys_of, documents)) | {"folder", "verified", "restored", "init", "removed"}
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert {name.rpartition(".")[2] for row in rows for name in re.findall(r"`([\w.]+)`", row)} <= given


def test_words_with_a_meaning_are_explained() -> None:
    assert {mark for mark in Mark if f"`{mark}`" not in SECTIONS["list"]} == set()
    assert {action for action in Action if f"`{action}`" not in SECTIONS["apply"]} == set()
