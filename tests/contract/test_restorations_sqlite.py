"""SQLite comes back into a live file that an application has open: wholly, or the old state stays."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.databases.base import DumpFile, Offer, Restoration
from runner.databases.sqlite import connection as sqlite_connection
from runner.errors import RunnerError, StepFailed, WorkspaceFailed
from runner.messages import msg
from runner.model.marks import DatabaseMarks, Side, SqliteMarks
from tests.requirements import requires_program
from tests.sqlite_restores import (
    MODES,
    Restore,
    codes,
    connect,
    content,
    make_database,
    make_restore,
    prepared,
    record_of,
    words,
)

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mode", MODES)
def test_restored_under_an_application(tmp_path: Path, mode: str) -> None:
    restore = prepared(tmp_path, mode)
    record = record_of(restore.dump, tmp_path)
    old, new = content(restore.live), content(restore.dump)
    with closing(connect(restore.live, mode)) as application:
        assert application.execute("SELECT count(*) FROM word").fetchone() == (200,)
        restoration = restore.open()
        contract: Restoration = restoration
        assert not contract.has_door
        restoration.stage(DumpFile(restore.dump), record, restore.note)
        assert restoration.compare(record) == restoration.findings() == ()
        assert content(restore.staged) == new
        assert (content(restore.live), restoration.side()) == (old, Side.OLD)
        restoration.swap(restore.note, None)
        restoration.open()
        assert application.execute("SELECT text FROM word WHERE id = 3").fetchone()[0].startswith("new-2-")
        assert restore.open().side() is Side.NEW
        application.execute("INSERT INTO word (text) VALUES ('written after')")
        assert application.execute("PRAGMA journal_mode").fetchone() == (mode,)
        assert restore.open().side() is Side.NEW
    assert restore.kept is not None
    assert content(restore.kept) == old
    assert stat.S_IMODE(restore.kept.stat().st_mode) == 0o600 or os.name == "nt"
    assert words(restore.live) == words(restore.dump) | {"written after"}
    with closing(connect(restore.live)) as later:
        assert later.execute("PRAGMA journal_mode").fetchone()[0] == ("wal" if mode == "wal" else "delete")
        later.execute("DELETE FROM word WHERE text = 'written after'")
    restore.open().let_go(restore.note)
    assert restore.strangers() == []
    assert sorted(path.name for path in restore.kept.parent.iterdir()) == [restore.kept.name]
    with closing(connect(restore.live)) as later:
        later.execute("UPDATE sqlite_sequence SET seq = 300")
    assert content(restore.live) == new


@pytest.mark.parametrize("mode", MODES)
def test_swapped_back(tmp_path: Path, mode: str) -> None:
    restore = prepared(tmp_path, mode)
    old = content(restore.live)
    with closing(connect(restore.live, mode)) as application:
        restore.stage().swap(restore.note, None)
        restore.open().swap_back(restore.note)
        assert restore.open().side() is Side.OLD
        assert application.execute("SELECT count(*) FROM word WHERE text LIKE 'old%'").fetchone() == (200,)
    restore.open().swap_back(restore.note)
    restore.open().discard(restore.note)
    assert content(restore.live) == old
    assert restore.strangers() == []


def test_whoever_reads_in_wal_mode_goes_on_reading_the_old_state(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "wal")
    restore.stage()
    with closing(connect(restore.live)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM word").fetchone() == (200,)
        restore.open().swap(restore.note, None)
        assert restore.open().side() is Side.NEW
        assert reader.execute("SELECT count(*) FROM word WHERE text LIKE 'old%'").fetchone() == (200,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM word WHERE text LIKE 'new%'").fetchone() == (300,)
    assert content(restore.live) == content(restore.dump)


@pytest.mark.parametrize("mode", MODES)
def test_frames_and_journals_of_the_old_state_are_not_replayed(tmp_path: Path, mode: str) -> None:
    """A process died with committed frames in its log, or in the middle of a transaction that had reached the file."""
    restore = prepared(tmp_path, mode)
    dying = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        f"c.execute('PRAGMA journal_mode = {mode}')\n"
        "c.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "c.execute('PRAGMA cache_size = 2')\n"
        "c.execute(\"INSERT INTO word (text) VALUES ('committed')\")\n"
        "c.execute('BEGIN')\n"
        "c.execute(\"UPDATE word SET text = 'lost' || text\")\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", dying, str(restore.live)], check=True)
    sidecar = restore.live.with_name(restore.live.name + ("-wal" if mode == "wal" else "-journal"))
    assert sidecar.stat().st_size > 10_000
    restore.stage().swap(restore.note, None)
    assert content(restore.live) == content(restore.dump)
    assert restore.open().side() is Side.NEW
    assert restore.kept is not None
    assert {word for word in words(restore.kept) if not word.startswith("old-")} == {"committed"}
    assert len(words(restore.kept)) == 201


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_no_commit_is_lost_between_the_safety_copy_and_the_swap(tmp_path: Path, mode: str) -> None:
    restore = prepared(tmp_path, mode)
    told = tmp_path / "told"
    restore.stage()
    writer = subprocess.Popen([sys.executable, "-m", "tests.sqlite_restores", "write", str(tmp_path)], cwd=CHECKOUT)
    try:
        await_lines(told, 200)
        restore.open().swap(restore.note, None)
        await_lines(told, len(told.read_text().splitlines()) + 300)
    finally:
        (tmp_path / "stop").touch()
        assert writer.wait(60) == 0
    assert restore.kept is not None
    kept, live = words(restore.kept), words(restore.live)
    assert set(told.read_text().splitlines()) <= kept | live
    assert len([word for word in kept if word.startswith("told")]) >= 200
    assert len([word for word in live if word.startswith("told")]) >= 200
    assert kept & live == set()


def await_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_failure_under_the_lock_leaves_the_old_state(tmp_path: Path, mode: str) -> None:
    """Whatever is raised just before the first page is committed; the application goes on."""
    restore = prepared(tmp_path, mode)
    old = content(restore.live)
    restore.stage()

    def failing(marks: DatabaseMarks) -> None:
        if isinstance(marks, SqliteMarks) and marks.schema_version is not None:
            raise WorkspaceFailed(msg("the journal is full"))
        restore.note(marks)

    with closing(connect(restore.live, mode)) as application:
        with pytest.raises(WorkspaceFailed, match="journal is full"):
            restore.open().swap(failing, None)
        assert restore.open().side() is Side.OLD
        assert application.execute("SELECT count(*) FROM word").fetchone() == (200,)
        application.execute("INSERT INTO word (text) VALUES ('later')")
        restore.open().swap(restore.note, None)
        assert restore.open().side() is Side.NEW
    assert restore.kept is not None
    assert set(words(restore.kept)) == {"later", *(line for line in words(restore.kept) if line.startswith("old"))}
    assert [line for line in content(restore.kept) if "'later'" not in line and "sqlite_sequence" not in line] == [
        line for line in old if "sqlite_sequence" not in line
    ]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_lock_that_is_not_given_up(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    restore = prepared(tmp_path, mode)
    old = content(restore.live)
    restore.stage()
    monkeypatch.setattr(sqlite_connection, "BUSY_SECONDS", 0.5)
    with closing(connect(restore.live, mode)) as application:
        application.execute("BEGIN IMMEDIATE")
        with pytest.raises(StepFailed, match="stayed locked") as raised:
            restore.open().swap(restore.note, None)
        assert raised.value.hint is not None
        found = restore.open().preflight(Offer("file", None))
        assert codes(found.errors) == {"locked"}
        application.execute("ROLLBACK")
        assert restore.open().preflight(Offer("file", None)).errors == []
    assert restore.open().side() is Side.OLD
    assert content(restore.live) == old


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("sizes", [(4096, 1024), (512, 65536), (65536, 4096)], ids=str)
def test_page_sizes_that_differ(tmp_path: Path, mode: str, sizes: tuple[int, int]) -> None:
    restore = make_restore(tmp_path)
    make_database(restore.live, "old", 200, f"PRAGMA page_size = {sizes[0]}", mode=mode)
    without_numbers = "CREATE TABLE plain (text)", "INSERT INTO plain VALUES ('a'), ('b'), ('c')"
    removed = "DELETE FROM plain WHERE text = 'a'"
    make_database(restore.dump, "new", 300, f"PRAGMA page_size = {sizes[1]}", *without_numbers, removed, mode="wal")
    new = content(restore.dump)
    restoration = restore.stage()
    assert not list(restore.disk.glob(f"{restore.staged.name}-*"))
    restoration.swap(restore.note, None)
    assert restore.open().side() is Side.NEW
    assert content(restore.live) == new
    with closing(connect(restore.live)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (sizes[0],)
        assert connection.execute("SELECT rowid FROM plain").fetchall() == [(2,), (3,)]


@pytest.mark.parametrize("vacuum", ["NONE", "FULL"])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_an_empty_database_is_one_too(tmp_path: Path, mode: str, vacuum: str) -> None:
    """One page: the backup call would have committed before the safety copy could be made."""
    restore = make_restore(tmp_path)
    for path in (restore.live, restore.dump):
        with closing(connect(path)) as connection:
            connection.execute(f"PRAGMA auto_vacuum = {vacuum}")
            connection.execute(f"PRAGMA journal_mode = {mode}")
            connection.execute(f"PRAGMA user_version = {5 if path == restore.live else 6}")
    old, new = content(restore.live), content(restore.dump)
    restore.stage().swap(restore.note, None)
    assert restore.kept is not None
    assert (content(restore.kept), content(restore.live)) == (old, new)
    assert restore.open().side() is Side.NEW
    restore.open().swap_back(restore.note)
    assert content(restore.live) == old
    assert restore.open().side() is Side.OLD
    restore.open().discard(restore.note)
    assert restore.strangers() == []


def test_a_second_swap_keeps_the_first_safety_copy(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "wal")
    old = content(restore.live)
    restore.stage().swap(restore.note, None)
    restore.open().swap(restore.note, None)
    assert restore.kept is not None
    assert content(restore.kept) == old


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    requires_program("mount", only="linux")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk here")
    yield small
    subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("full", ["live", "kept"])
def test_a_full_disk_leaves_the_old_state(tmp_path: Path, small_disk: Path, mode: str, full: str) -> None:
    folder = tmp_path / "restore"
    restore = make_restore(folder, small_disk if full == "live" else None)
    if full == "kept":
        restore = Restore(folder, folder / "live", small_disk / "kept.sqlite3")
    make_database(restore.live, "old", 60 if full == "live" else 900, mode=mode)
    make_database(restore.dump, "new", 200 if full == "live" else 50)
    old, new = content(restore.live), content(restore.dump)
    with closing(connect(restore.live, mode)) as application:
        restore.stage()
        with pytest.raises(WorkspaceFailed) as raised:
            restore.open().swap(restore.note, None)
        assert raised.value.hint is not None
        assert restore.open().side() is Side.OLD
        assert application.execute("SELECT count(*) FROM word WHERE text LIKE 'old%'").fetchone()[0] >= 60
        restore.open().discard(restore.note)
        application.execute("INSERT INTO word (text) VALUES ('goes on')")
        application.execute("DELETE FROM word WHERE text = 'goes on'")
    assert restore.strangers() == []
    with closing(connect(restore.live)) as connection:
        connection.execute("UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM word)")
    assert content(restore.live) == old
    assert new != old


def test_errors_are_ours(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "delete")
    restore.stage()
    restore.staged.unlink()
    with pytest.raises(RunnerError) as raised:
        restore.open().swap(restore.note, None)
    assert raised.value.hint is not None
