"""What a SQLite restore says of the dump that it was given, and which of the two states is live."""

from contextlib import closing
from pathlib import Path

import pytest

from runner.databases.base import DumpFile
from runner.errors import IntegrityError, StepFailed
from runner.model.marks import DatabaseMarks, Side, SqliteMarks
from tests.sqlite_restores import connect, content, make_database, prepared, record_of, words


@pytest.mark.parametrize("damage", ["page", "header", "empty page", "index"])
def test_a_malformed_dump_is_refused(tmp_path: Path, damage: str) -> None:
    restore = prepared(tmp_path, "wal")
    old = content(restore.live)
    damaged = bytearray(restore.dump.read_bytes())
    if damage == "index":  # a row and its index entry differ, which only the check notices
        damaged[damaged.index(b"new-100-")] = ord("m")
    else:
        start = 0 if damage == "header" else 4096 * 5
        damaged[start : start + 4096] = bytes(4096) if damage == "empty page" else b"\xff" * 4096
    restore.dump.write_bytes(damaged)
    restoration = restore.open()
    with pytest.raises(IntegrityError) as raised:
        restoration.stage(DumpFile(restore.dump), None, restore.note)
    assert raised.value.hint is not None
    restore.open().discard(restore.note)
    restore.open().discard(restore.note)
    assert (content(restore.live), restore.strangers()) == (old, [])


def test_what_differs_from_the_record_is_found(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    record = record_of(restore.dump, tmp_path)
    with closing(connect(restore.dump)) as connection:
        connection.execute("DELETE FROM word WHERE id = 5")
        connection.execute("UPDATE sqlite_sequence SET seq = 1000")
        connection.execute("PRAGMA user_version = 8")
        connection.execute("CREATE TABLE extra (x)")
    found = restore.stage().compare(record)
    assert sorted(str(finding.message) for finding in found) == [
        "sequence of word: at 1000 instead of 300",
        "table extra: 0 rows instead of no",
        "table word: 299 rows instead of 300",
        "user_version is 8 instead of 7",
    ]


def test_rows_that_break_a_foreign_key_are_told_and_restored(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    with closing(connect(restore.dump)) as connection:
        connection.execute("CREATE TABLE child (word INTEGER REFERENCES word (id))")
        connection.execute("INSERT INTO child VALUES (1), (100000)")
    restoration = restore.stage()
    assert [str(finding.message) for finding in restoration.findings()] == ["1 rows break a foreign key, in child"]
    assert restoration.compare(record_of(restore.dump, tmp_path)) == ()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("schema", [False, True], ids=["rows", "schema"])
@pytest.mark.parametrize("side", [Side.OLD, Side.NEW])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_side_after_the_application_wrote_more(tmp_path: Path, mode: str, side: Side, schema: bool, keep: bool) -> None:
    """A swap that was interrupted just before or just after its commit, and an application that went on."""
    restore = prepared(tmp_path, mode, keep=keep)
    restore.stage()
    if side is Side.OLD:

        def interrupted(marks: DatabaseMarks) -> None:
            restore.note(marks)
            if isinstance(marks, SqliteMarks) and marks.schema_version is not None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            restore.open().swap(interrupted, None)
    else:
        restore.open().swap(restore.note, None)
    with closing(connect(restore.live)) as application:
        application.execute("INSERT INTO word (text) VALUES ('more')")
        application.execute("DELETE FROM word WHERE id = 7")
        if schema:
            application.execute("CREATE TABLE migrated (x)")
    # Without a safety copy, the old state is certain only as long as nobody changes the schema.
    expected = Side.UNCLEAR if schema and not keep else side
    assert restore.open().side() is expected
    assert restore.strangers() == [restore.staged.name]
    if expected is Side.OLD:
        restore.open().discard(restore.note)
    elif expected is Side.NEW:
        restore.open().let_go(restore.note)
    else:
        with pytest.raises(StepFailed, match="nobody can tell"):
            restore.open().swap_back(restore.note)
    assert restore.open().side() is expected
    assert ("more" in words(restore.live)) is True


def test_side_when_nobody_can_tell(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    restore.stage().swap(restore.note, None)
    restore.live.rename(tmp_path / "elsewhere")
    assert restore.open().side() is Side.UNCLEAR
    make_database(restore.live, "foreign", 40, "CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x)")
    assert restore.open().side() is Side.UNCLEAR
    foreign = content(restore.live)
    with pytest.raises(StepFailed, match="nobody can tell"):
        restore.open().swap(restore.note, None)
    assert content(restore.live) == foreign
    restore.live.write_bytes(b"no database" * 1000)
    assert restore.open().side() is Side.UNCLEAR


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_state_restored_over_itself(tmp_path: Path, mode: str) -> None:
    """Both states hold the same rows, so that only the version tells them apart."""
    restore = prepared(tmp_path, mode)
    restore.dump.unlink()
    with closing(connect(restore.live)) as live, closing(connect(restore.dump)) as dump:
        live.backup(dump)
    old = content(restore.live)
    restore.stage()
    assert restore.open().side() is Side.OLD
    restore.open().swap(restore.note, None)
    assert restore.open().side() is Side.NEW
    assert restore.kept is not None
    assert content(restore.live) == content(restore.kept) == old
