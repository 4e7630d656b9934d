"""What a SQLite restore finds in the place it goes to: nothing, a link, no database, a broken one, an obstacle."""

import os
import shutil
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from runner.databases.base import DumpFile, Offer
from runner.databases.sqlite import open_restoration
from runner.errors import StepFailed
from runner.model.marks import Side
from runner.model.profile import SqliteConfig
from tests.sqlite_restores import NAMES, SCHEMA, checksum, codes, connect, content, fill, make_database, prepared


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("stale", [False, True])
def test_where_there_is_no_database(tmp_path: Path, stale: bool, keep: bool) -> None:
    restore = prepared(tmp_path, "delete", keep=keep)
    restore.live.unlink()
    log = restore.live.with_name(restore.live.name + "-wal")
    if stale:
        with closing(connect(restore.live, "wal")) as connection:
            connection.execute(SCHEMA)
            fill(connection, "stale", 9)
            shutil.copy(log, tmp_path / "log")
        restore.live.unlink()
        shutil.copy(tmp_path / "log", log)
    new = content(restore.dump)
    restoration = restore.open()
    assert not restoration.look().exists
    assert restoration.preflight(Offer("file", None)).errors == []
    restore.stage()
    assert restore.open().side() is Side.OLD
    restore.open().swap(restore.note, None)
    assert restore.open().side() is Side.NEW
    assert content(restore.live) == new
    restore.open().let_go(restore.note)
    assert restore.open().side() is Side.NEW
    assert restore.strangers() == []


def test_a_database_that_appeared_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    restore.live.unlink()
    restore.stage()
    make_database(restore.live, "foreign", 3)
    foreign = checksum(restore.live)
    with pytest.raises(StepFailed, match="appeared"):
        restore.open().swap(restore.note, None)
    assert restore.open().side() is Side.OLD
    restore.open().discard(restore.note)
    assert checksum(restore.live) == foreign
    assert restore.strangers() == []


@pytest.mark.parametrize("back", ["let go", "discarded", "swapped back"])
def test_what_is_no_database_is_moved_aside_with_its_sidecars(tmp_path: Path, back: str) -> None:
    restore = prepared(tmp_path, "delete")
    journal = restore.live.with_name(restore.live.name + "-journal")
    restore.live.write_bytes(b"no database at all" * 500)
    found = restore.open().preflight(Offer("file", None))
    assert (found.errors, codes(found.warnings)) == ([], {"malformed"})
    assert restore.open().look().exists
    new = content(restore.dump)
    restore.stage()
    assert restore.open().side() is Side.OLD
    assert restore.kept is not None
    journal.write_bytes(b"nor is this a journal" * 100)  # now: SQLite removes it when it looks at the file
    old = checksum(restore.live), checksum(journal)
    if back == "discarded":
        restore.open().discard(restore.note)
    else:
        restore.open().swap(restore.note, None)
        assert restore.open().side() is Side.NEW
        assert content(restore.live) == new
        kept_journal = restore.kept.with_name(restore.kept.name + "-journal")
        assert (checksum(restore.kept), checksum(kept_journal)) == old
    if back == "swapped back":
        restore.open().swap_back(restore.note)
        assert restore.open().side() is Side.OLD
        restore.open().discard(restore.note)
    if back == "let go":
        restore.open().let_go(restore.note)
        assert restore.open().side() is Side.NEW
    else:
        assert (checksum(restore.live), checksum(journal)) == old
        assert restore.open().side() is Side.OLD
    assert restore.strangers() == []


def test_a_live_database_with_broken_pages_is_copied_as_it_is(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    with restore.live.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    broken = restore.live.read_bytes()
    found = restore.open().preflight(Offer("file", None))
    assert (found.errors, codes(found.warnings)) == ([], {"malformed"})
    new = content(restore.dump)
    restore.stage().swap(restore.note, None)
    assert content(restore.live) == new
    assert restore.kept is not None
    assert restore.kept.read_bytes()[100:] == broken[100:]


def test_the_staged_file_looks_like_the_live_one(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "wal")
    restore.live.chmod(0o640)
    restore.stage()
    if os.name == "nt":
        assert restore.staged.is_file()
        return
    assert stat.S_IMODE(restore.staged.stat().st_mode) == 0o640
    restore.staged.unlink()
    restore.live.unlink()
    make_database(restore.dump.with_name("again.sqlite3"), "new", 3)
    fresh = open_restoration(SqliteConfig(restore.live), NAMES, None, restore.kept)
    fresh.stage(DumpFile(restore.dump.with_name("again.sqlite3")), None, restore.note)
    assert stat.S_IMODE(restore.staged.stat().st_mode) == 0o600


def test_a_link_leads_to_the_file_that_is_replaced(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    link = tmp_path / "link.sqlite3"
    link.symlink_to(restore.live)
    new = content(restore.dump)
    restoration = open_restoration(SqliteConfig(link), NAMES, None, restore.kept)
    assert restoration.preflight(Offer("file", None)).errors == []
    restoration.stage(DumpFile(restore.dump), None, restore.note)
    assert restore.staged.is_file()
    restoration.swap(restore.note, None)
    assert link.is_symlink()
    assert content(restore.live) == new


def test_obstacles_are_found_all_at_once(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    assert restore.kept is not None
    restore.kept.touch()
    found = open_restoration(SqliteConfig(restore.disk), NAMES, None, restore.kept).preflight(Offer("folder", None))
    assert codes(found.errors) == {"engine", "path", "kept"}
    nowhere = open_restoration(SqliteConfig(tmp_path / "no" / "db"), NAMES, None, None).preflight(Offer("file", None))
    assert codes(nowhere.errors) == {"folder"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        special = open_restoration(SqliteConfig(tmp_path / "fifo"), NAMES, None, None)
        assert codes(special.preflight(Offer("file", None)).errors) == {"path"}
    restore.kept.unlink()
    large = restore.open().preflight(Offer("file", None, unpacked_bytes=1 << 60))
    assert codes(large.errors) == {"space"}


def test_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restore = prepared(tmp_path, "wal")
    with closing(connect(restore.live)) as application:
        application.execute("DELETE FROM word WHERE id < 11")
        os.utime(restore.live, (1_000_000_000, 1_000_000_000))
        seen = restore.open().look()
        assert (seen.exists, seen.tables, seen.rows, seen.rows_are_exact) == (True, 1, 190, True)
        assert seen.newest_change is not None
        assert abs(seen.newest_change.timestamp() - time.time()) < 60
        monkeypatch.setattr("runner.databases.sqlite.survey.EXACT_BYTES", 10)
        seen = restore.open().look()
        assert (seen.rows, seen.rows_are_exact) == (200, False)
