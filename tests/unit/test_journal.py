"""The journal: every step on the disk before it is taken, and a line cut short announces nothing."""

from pathlib import Path

import pytest

from runner.errors import RecoveryNeeded
from runner.journal import Begin, Journal, Step
from runner.model.marks import MediaMarks, PostgresqlMarks, SqliteMarks

BEGIN = Begin(
    run_id="20260108_110353-0a1b2c3d",
    command="restore",
    profile="school",
    variant="full",
    archive="school_backup_20260108_110353.zip",
    started_at="2026-01-08T10:03:53+00:00",
    exclude=("*.tmp",),
)
DATABASE = PostgresqlMarks(way="swap", name="school", staged_name="new", replaced_name="old", live_oid=7, staged_oid=8)
MEDIA = MediaMarks(way="rename", root="/m", staged="/.m.new", replaced="/.m.old", live_inode=(1, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_what_was_noted_is_read_by_another_process(path: Path) -> None:
    journal = Journal.start(path, BEGIN)
    journal.note_database(DATABASE)
    journal.note_media(MEDIA)
    journal.note(Step.SWAP)
    read = Journal.read(path)
    assert read is not None
    assert (read.begin, read.database, read.media) == (BEGIN, DATABASE, MEDIA)
    assert read.swap_began
    assert not read.has(Step.SWAPPED)


def test_the_newest_marks_count(path: Path) -> None:
    journal = Journal.start(path, BEGIN)
    journal.note_database(SqliteMarks(path="/a", staged="/b"))
    journal.note_database(SqliteMarks(path="/a", staged="/b", kept="/c"))
    read = Journal.read(path)
    assert read is not None
    assert read.database == SqliteMarks(path="/a", staged="/b", kept="/c")
    assert not read.swap_began


def test_every_cut_leaves_the_whole_lines_before_it(path: Path) -> None:
    journal = Journal.start(path, BEGIN)
    journal.note_media(MEDIA)
    before = len(path.read_bytes())
    journal.note(Step.SWAP)
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        read = Journal.read(path)
        if read is None:
            assert end < content.index(b"\n")
        else:
            assert read.swap_began is (end >= len(content) - 1)
            assert read.media == (MEDIA if end >= before - 1 else None)


def test_a_line_that_was_cut_short_hides_none_that_follows(path: Path) -> None:
    journal = Journal.start(path, BEGIN)
    journal.note_media(MEDIA)
    path.write_bytes(path.read_bytes()[:-20])
    read = Journal.read(path)
    assert read is not None
    assert read.media is None
    read.note(Step.SWAP)
    again = Journal.read(path)
    assert again is not None
    assert again.swap_began


def test_the_journal_of_a_newer_runner_is_not_guessed_at(path: Path) -> None:
    Journal.start(path, BEGIN)
    path.write_bytes(path.read_bytes() + b'{"step":"teleport","at":"2030-01-01"}\n')
    with pytest.raises(RecoveryNeeded):
        Journal.read(path)


def test_no_journal_and_an_ended_one_are_the_same(path: Path) -> None:
    assert Journal.read(path) is None
    Journal.start(path, BEGIN).end()
    assert Journal.read(path) is None


@pytest.mark.parametrize("content", [b"\0\0\0\n", b"garbage\n" * 3], ids=["zeros", "garbage"])
def test_a_damaged_journal_is_not_taken_for_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RecoveryNeeded):
        Journal.read(path)
