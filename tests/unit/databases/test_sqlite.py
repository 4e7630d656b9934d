"""What only SQLite columns can hold."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from runner.databases.sqlite import connection as sqlite_connection
from runner.databases.sqlite import open_capture
from runner.model.profile import Reference, SqliteConfig

COLUMN = Reference("t", "x")


def values(folder: Path, *statements: str) -> tuple[set[str], frozenset[str]]:
    """The values that a column named at the captured instant, and which of them it still names."""
    path = folder / "live.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    (folder / "work").mkdir()
    with open_capture(SqliteConfig(path), folder / "work", "20260108_110353") as capture:
        found = list(capture.referenced(COLUMN))
        assert len(found) == len(set(found))
        return set(found), capture.still_referenced(COLUMN, [*found, "never"])


def test_a_column_that_ignores_case_names_two_files(tmp_path: Path) -> None:
    found, still = values(
        tmp_path, "CREATE TABLE t (x TEXT COLLATE NOCASE)", "INSERT INTO t VALUES ('A.pdf'), ('a.pdf'), ('a.pdf')"
    )
    assert found == still == {"A.pdf", "a.pdf"}


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_text_is_text_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    found, still = values(
        tmp_path, f"PRAGMA encoding = '{encoding}'", "CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES ('reçus/😀.pdf')"
    )
    assert found == still == {"reçus/😀.pdf"}


def test_values_of_every_type(tmp_path: Path) -> None:
    found, still = values(
        tmp_path,
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES (5), (2.5), (x'636166e9'), (x''), (''), (NULL)",
        "INSERT INTO t VALUES (CAST(x'6e6fe9' AS TEXT)), ('a'), (x'62')",
    )
    assert found == still == {"5", "2.5", "caf\udce9", "no\udce9", "a", "b"}


def test_a_view_and_a_generated_column_name_files_too(tmp_path: Path) -> None:
    found, still = values(
        tmp_path, "CREATE TABLE base (n TEXT, made AS ('reçus/' || n))", "INSERT INTO base VALUES ('1.pdf')",
        "CREATE VIEW t AS SELECT made AS x FROM base",
    )  # fmt: skip
    assert found == still == {"reçus/1.pdf"}


def test_a_copy_that_takes_long_is_not_taken_for_one_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_SECONDS", -1.0)
    found, _ = values(tmp_path, "CREATE TABLE t (x)", "INSERT INTO t VALUES ('a')")
    assert found == {"a"}
