"""Checking never fails, whatever a file holds, and the shipped project is valid."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config import check, find_root, load
from runner.config.schemas import schema_data
from runner.errors import RunnerError
from runner.model.profile import PostgresqlConfig
from runner.model.secret import EnvironmentSecret
from tests.unit.config.projects import render

ROOT = Path(__file__).parents[3]


def words() -> st.SearchStrategy[str]:
    """The keys and the values that the schema knows, and others."""
    schema = schema_data("profile")
    known = {
        "${A}",
        "${",
        "$A",
        "~",
        "..",
        "/",
        "media",
        "media/x",
        "{timestamp}",
        "{timestamp}.zip",
        "*",
        "[",
        "hunter2",
    }

    def gather(part: Any) -> None:
        if isinstance(part, dict):
            known.update(part.get("properties", {}))
            known.update(value for value in part.get("enum", ()) if isinstance(value, str))
            for each in part.values():
                gather(each)
        elif isinstance(part, list):
            for each in part:
                gather(each)

    gather(schema)
    return st.one_of(st.sampled_from(sorted(known)), st.text(max_size=20))


def values() -> st.SearchStrategy[Any]:
    leaves = st.one_of(words(), st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
    return st.recursive(
        leaves, lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(words(), part, max_size=5))
    )


def profiles() -> st.SearchStrategy[dict[str, Any]]:
    """Near to a profile, so that the rules behind the schema are reached."""
    text = words()
    local = st.fixed_dictionaries({"type": st.just("local"), "path": text})
    return st.fixed_dictionaries(
        {"version": st.just(1)},
        optional={
            "database": st.one_of(
                st.fixed_dictionaries({"engine": st.just("sqlite"), "path": text}),
                st.fixed_dictionaries(
                    {"engine": st.just("postgresql"), "name": text},
                    optional={"host": text, "port": st.integers(), "password": values()},
                ),
                values(),
            ),
            "media": st.fixed_dictionaries(
                {"root": text},
                optional={
                    "exclude": st.lists(text, max_size=4),
                    "required": st.lists(text, max_size=4),
                    "references": st.lists(st.fixed_dictionaries({"table": text, "column": text}), max_size=3),
                },
            ),
            "archive": st.fixed_dictionaries({"name": text}),
            "destinations": st.lists(st.one_of(local, values()), max_size=3),
            "restore": st.one_of(st.fixed_dictionaries({"variants": st.lists(text, max_size=3)}), values()),
            "retention": values(),
        },
    )


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(profiles(), st.dictionaries(words(), values(), max_size=6), values()))
def test_no_profile_makes_it_raise(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.yml").write_text(json.dumps(data), encoding="utf-8")
    root = find_root(None, folder, ["any.yml"])
    found = check(root, ["any.yml"], environ={"A": "media"})
    assert found.problems or found.profiles
    for line in render(found.problems).splitlines():
        assert line.startswith(("any.yml:", "  hint: "))
    assert [problem.position for problem in found.problems] == sorted(problem.position for problem in found.problems)


def test_the_shipped_project_is_valid() -> None:
    found = check(find_root(None, ROOT), environ=os.environ)
    assert render(found.problems) == ""
    assert "school" in {profile.name for profile in found.profiles}


@pytest.mark.parametrize(
    "environ", [{}, {"SCHOOL_BACKUPS": "/mnt/backups"}, {"HOME": "/home/a", "USERPROFILE": "C:/a"}]
)
def test_the_shipped_school_needs_no_variable_to_be_valid(environ: dict[str, str]) -> None:
    school = load(find_root(None, ROOT), "school", environ=environ, need_variables=False)
    assert isinstance(school.database, PostgresqlConfig)
    assert school.database.password == EnvironmentSecret("SCHOOL_DB_PASSWORD")
    assert school.archive.name == "school_backup_{timestamp}.zip"
    assert school.media is not None
    assert school.media.root == ROOT / "media"
    assert school.media.required == ("payment_receipts",)


def test_errors_carry_no_bug() -> None:
    with pytest.raises(RunnerError):
        load(find_root(None, ROOT), "scholl", environ={}, need_variables=False)
