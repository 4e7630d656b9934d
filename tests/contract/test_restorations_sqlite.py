"""SQLite comes back: into a live file that an application has open, or into its place."""

import hashlib
import os
import shutil
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
from runner.databases.sqlite import open_capture, open_restoration
from runner.errors import Finding, IntegrityError, RunnerError, StepFailed, WorkspaceFailed
from runner.messages import msg
from runner.model.manifest import SqliteRecord
from runner.model.marks import DatabaseMarks, Side, SqliteMarks
from runner.model.profile import SqliteConfig
from tests.requirements import requires_program
from tests.sqlite_restores import (
    MODES,
    NAMES,
    SCHEMA,
    Restore,
    connect,
    content,
    fill,
    make_database,
    make_restore,
    words,
)

CHECKOUT = Path(__file__).resolve().parents[2]


def prepared(folder: Path, mode: str, *, keep: bool = True, rows: int = 200) -> Restore:
    """A live database in `mode`, a dump that differs from it, nothing staged."""
    restore = make_restore(folder, keep=keep)
    make_database(restore.live, "old", rows, mode=mode)
    make_database(restore.dump, "new", 300, "PRAGMA user_version = 7", "PRAGMA application_id = 9")
    return restore


def record_of(path: Path, folder: Path) -> SqliteRecord:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    with open_capture(SqliteConfig(path), work, NAMES.timestamp) as capture:
        record = capture.record()
        assert isinstance(record, SqliteRecord)
        return record


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def codes(findings: list[Finding]) -> set[str]:
    assert all(finding.hint is not None for finding in findings)
    return {finding.code.removeprefix("preflight.") for finding in findings}


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


def test_a_second_swap_keeps_the_first_safety_copy(tmp_path: Path) -> None:
    restore = prepared(tmp_path, "wal")
    old = content(restore.live)
    restore.stage().swap(restore.note, None)
    restore.open().swap(restore.note, None)
    assert restore.kept is not None
    assert content(restore.kept) == old


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
