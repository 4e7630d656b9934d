"""SQLite as applications leave it: with a WAL, a hot journal, a lock, or damage."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.model.manifest import Manifest, SqliteRecord
from tests.privileges import give_away, unprivileged
from tests.projects import COMMAND, Project, damage_of, make_project, manifest_of, sqlite_project

SCHEMA = "CREATE TABLE payment (id INTEGER PRIMARY KEY, memo TEXT)"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A profile over `live.sqlite3`, which the test makes."""
    made = make_project(tmp_path / "project", "engine: sqlite, path: live.sqlite3")
    (made.media / "file.txt").write_bytes(b"a file")
    return made


def live(project: Project) -> Path:
    return project.folder / "live.sqlite3"


def unpack(archive: Path, folder: Path) -> Path:
    """The copy in the archive, on the disk again."""
    assert damage_of(archive) == []
    with zipfile.ZipFile(archive) as zipped:
        return Path(zipped.extract(record_of(manifest_of(archive)).dump, folder))


def record_of(manifest: Manifest) -> SqliteRecord:
    assert isinstance(manifest.database, SqliteRecord)
    return manifest.database


def content(path: Path) -> list[str]:
    with opened(path) as connection:
        return list(connection.iterdump())


def memos(path: Path) -> set[str]:
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in connection.execute("SELECT memo FROM payment")}


def assert_refused(project: Project, code: int, *words: str) -> None:
    """The backup ends with `code`, an error that says `words` and a hint; nothing new is there."""
    before = project.archives()
    done = project.run("apply", "app")
    assert done.returncode == code, done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert project.archives() == before
    assert project.leftovers() == []


def test_committed_rows_of_a_wal_are_in_the_archive_and_others_are_not(project: Project, tmp_path: Path) -> None:
    with opened(live(project)) as application, opened(live(project)) as other:
        application.execute("PRAGMA journal_mode = WAL")
        application.execute("PRAGMA wal_autocheckpoint = 0")
        application.execute(SCHEMA)
        application.execute("INSERT INTO payment (memo) VALUES ('committed')")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO payment (memo) VALUES ('not yet')")
        assert live(project).with_name("live.sqlite3-wal").stat().st_size > 0
        assert live(project).read_bytes().count(b"committed") == 0
        archive = project.apply()
        other.execute("COMMIT")
        assert application.execute("SELECT count(*) FROM payment").fetchone() == (2,)
    assert memos(unpack(archive, tmp_path)) == {"committed"}
    assert record_of(manifest_of(archive)).journal_mode == "wal"


def test_a_wal_that_its_application_left_behind_is_in_the_archive(project: Project, tmp_path: Path) -> None:
    """The application was killed: what it committed lies in the WAL alone, and nobody has it open."""
    script = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode = WAL'); c.execute('PRAGMA wal_autocheckpoint = 0')\n"
        f"c.execute('{SCHEMA}'); c.execute(\"INSERT INTO payment (memo) VALUES ('committed')\")\n"
        "print('done', flush=True); sys.stdin.read()\n"
    )
    with killed_writer(script, live(project)):
        pass
    assert live(project).with_name("live.sqlite3-wal").exists()
    archive = project.apply()
    assert memos(unpack(archive, tmp_path)) == {"committed"}


@contextlib.contextmanager
def killed_writer(script: str, database: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs `script` until it says `done`; killed when the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "done\n"
        yield writer
        writer.kill()


HALF_A_TRANSACTION = (
    "import sqlite3, sys\n"
    "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    "c.execute('PRAGMA journal_mode = DELETE'); c.execute('PRAGMA synchronous = FULL')\n"
    "c.execute('PRAGMA cache_size = 2'); c.execute('PRAGMA cache_spill = 1')\n"
    "c.execute('BEGIN')\n"
    "c.execute(\"UPDATE payment SET memo = 'changed ' || id || hex(randomblob(200))\")\n"
    "print('done', flush=True); sys.stdin.read()\n"
)


def test_a_hot_journal_is_rolled_back_and_not_copied_around(project: Project, tmp_path: Path) -> None:
    """The application was killed half-way through a transaction whose pages are in the database file already."""
    with opened(live(project)) as connection:
        connection.execute(SCHEMA)
        for number in range(500):
            connection.execute("INSERT INTO payment (memo) VALUES (?)", (f"before {number}" * 20,))
    before = memos(live(project))
    with killed_writer(HALF_A_TRANSACTION, live(project)):
        pass
    journal = live(project).with_name("live.sqlite3-journal")
    assert journal.stat().st_size > 0
    assert b"changed" in live(project).read_bytes()
    archive = project.apply()
    assert memos(unpack(archive, tmp_path)) == before
    assert memos(live(project)) == before


def test_a_lock_is_waited_for(project: Project, tmp_path: Path) -> None:
    with opened(live(project)) as application:
        application.execute(SCHEMA)
        application.execute("BEGIN EXCLUSIVE")
        application.execute("INSERT INTO payment (memo) VALUES ('in the locked transaction')")
        with subprocess.Popen(
            [*COMMAND, "apply", "app"], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as backup:
            time.sleep(2)
            waited = backup.poll() is None
            application.execute("COMMIT")
            said, _ = backup.communicate(timeout=60)
    assert waited
    assert backup.returncode == 0, said
    assert memos(unpack(project.archives()[0], tmp_path)) == {"in the locked transaction"}


def test_a_malformed_database_makes_no_archive(project: Project) -> None:
    with opened(live(project)) as connection:
        connection.execute(SCHEMA)
        for number in range(2000):
            connection.execute("INSERT INTO payment (memo) VALUES (?)", (f"memo {number}" * 10,))
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    whole = live(project).read_bytes()
    project.apply()
    for page in (1, 5, len(whole) // size - 1):
        damaged = bytearray(whole)
        damaged[page * size : page * size + 64] = bytes(64)
        live(project).write_bytes(damaged)
        assert_refused(project, 13)
    live(project).write_bytes(whole[: len(whole) // 2])
    assert_refused(project, 13)


def test_a_lost_index_entry_is_found(project: Project) -> None:
    """Every page is sound, and yet two of them contradict each other: only a full check of integrity sees it."""
    with opened(live(project)) as connection:
        connection.execute(SCHEMA)
        connection.execute("CREATE INDEX by_memo ON payment (memo)")
        connection.execute("INSERT INTO payment (memo) VALUES ('one'), ('two')")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'by_memo'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    damaged = bytearray(live(project).read_bytes())
    start = (root - 1) * size
    at = damaged.index(b"two", start, start + size)
    damaged[at : at + 3] = b"tw0"
    live(project).write_bytes(damaged)
    assert_refused(project, 13, "malformed")


@pytest.mark.parametrize("damage", ["text", "header", "short"])
def test_a_file_that_is_no_database_makes_no_archive(project: Project, damage: str) -> None:
    text = b"matricule;nom\n" * 1000
    live(project).write_bytes({"text": text, "header": b"SQLite format 3\0" + text, "short": b"SQLi"}[damage])
    assert_refused(project, 13, "live.sqlite3")


def test_a_database_that_is_not_there_is_an_error_and_is_not_made(project: Project) -> None:
    assert_refused(project, 14, "live.sqlite3")
    assert not live(project).exists()
    live(project).mkdir()
    assert_refused(project, 14, "live.sqlite3")


def test_an_empty_file_is_an_empty_database_and_a_warning(project: Project) -> None:
    live(project).touch()
    done = project.run("apply", "app")
    assert done.returncode == 3, done.stderr
    assert "no tables" in done.stderr


@pytest.mark.parametrize(("journal", "code"), [("delete", 0), ("wal", 14)])
def test_a_folder_that_may_not_be_written(project: Project, tmp_path: Path, journal: str, code: int) -> None:
    """A rollback-mode database is read all the same; a WAL needs its shared memory beside it, and the error says so."""
    closed = tmp_path / "closed"
    closed.mkdir()
    with opened(closed / "live.sqlite3") as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(SCHEMA)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace("path: live.sqlite3", f"path: {closed}/live.sqlite3"), "utf-8"
    )
    give_away(project.folder)
    for path, mode in ((closed / "live.sqlite3", 0o444), (closed, 0o555)):
        path.chmod(mode)
    try:
        with unprivileged(tmp_path) as somebody:
            done = project.run("apply", "app", before=somebody)
    finally:
        closed.chmod(0o755)
    assert done.returncode == code, done.stderr
    if code:
        assert "hint: check the permissions of the file and its folder" in done.stderr
        assert project.archives() == []
    assert [path.name for path in closed.iterdir()] == ["live.sqlite3"]


@pytest.mark.parametrize("mode", [0o000, 0o700])
def test_a_database_that_may_not_be_read_is_an_error(project: Project, tmp_path: Path, mode: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with opened(closed / "live.sqlite3") as connection:
        connection.execute(SCHEMA)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace("path: live.sqlite3", f"path: {closed}/live.sqlite3"), "utf-8"
    )
    give_away(project.folder)
    (closed / "live.sqlite3").chmod(0o600 if mode else 0)
    closed.chmod(mode or 0o755)
    with unprivileged(tmp_path) as somebody:
        if not somebody:
            pytest.skip("its owner may read it; this needs another user")
        closed.chmod(mode or 0o755)
        done = project.run("apply", "app", before=somebody)
    closed.chmod(0o755)
    assert done.returncode == 14, done.stderr
    assert "SQLite" in done.stderr
    assert "archive cannot be written" not in done.stderr
    assert "hint:" in done.stderr


def test_every_kind_of_schema_comes_back(project: Project, tmp_path: Path) -> None:
    with opened(live(project)) as connection:
        connection.executescript(
            """
            PRAGMA page_size = 1024; PRAGMA user_version = 7; PRAGMA application_id = 99; PRAGMA encoding = 'UTF-16le';
            CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);
            INSERT INTO counted (x) VALUES ('é'), ('b'); DELETE FROM counted WHERE x = 'b';
            CREATE TABLE keyed (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;
            INSERT INTO keyed VALUES ('k', x'00ff00');
            CREATE VIEW seen AS SELECT * FROM counted;
            CREATE VIRTUAL TABLE words USING fts5(body);
            INSERT INTO words VALUES ('quelques mots');
            CREATE TRIGGER noted AFTER INSERT ON counted BEGIN INSERT INTO keyed VALUES (new.x, NULL); END;
            CREATE TABLE "odd "" name" ("col;" TEXT, made AS (upper("col;")));
            """
        )
    archive = project.apply()
    record = record_of(manifest_of(archive))
    assert content(unpack(archive, tmp_path)) == content(live(project))
    assert (record.page_size, record.user_version, record.application_id) == (1024, 7, 99)
    assert (record.encoding, record.journal_mode) == ("UTF-16le", "delete")
    assert [(each.name, each.last_value) for each in record.sequences] == [("counted", 2)]
    rows = {table.name: table.rows for table in record.tables}
    assert rows["counted"] == rows["keyed"] == rows["words"] == 1
    assert rows['odd " name'] == 0
    assert not any(name.startswith("sqlite_") for name in rows)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("CREATE TABLE payment (memo TEXT, CHECK (application(memo)))", False),
        ("CREATE TABLE payment (memo TEXT); CREATE INDEX i ON payment (application(memo))", True),
        ("CREATE TABLE payment (memo TEXT COLLATE ours); CREATE INDEX i ON payment (memo)", True),
    ],
    ids=["check", "index", "collation"],
)
def test_a_schema_that_uses_the_applications_functions(
    project: Project, tmp_path: Path, table: str, told: bool
) -> None:
    """Such functions exist in the application alone. Nothing is refused for them; what could not be checked is told."""
    profile = project.folder / "profiles" / "app.yml"
    references = "media: {root: media, references: [{table: payment, column: memo}]"
    profile.write_text(profile.read_text("utf-8").replace("media: {root: media", references), "utf-8")
    with opened(live(project)) as connection:
        connection.create_function("application", 1, lambda _value: 1, deterministic=True)
        connection.create_collation("ours", lambda first, second: (first > second) - (first < second))
        connection.executescript(table)
        connection.execute("INSERT INTO payment VALUES ('file.txt')")
    done = project.run("apply", "app")
    assert done.returncode == (3 if told else 0), done.stderr
    assert ("could not be checked whole" in done.stderr) is told
    manifest = manifest_of(project.archives()[0])
    assert manifest.references is not None
    assert (manifest.references.checked, manifest.references.missing) == (1, ())
    assert [(table.name, table.rows) for table in record_of(manifest).tables] == [("payment", 1)]


@pytest.mark.parametrize("name", ["a b.sqlite3", "what?.sqlite3", "c#d.sqlite3", "100%41.sqlite3", "é'\".sqlite3"])
def test_paths_of_every_kind(project: Project, tmp_path: Path, name: str) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    with opened(project.folder / name) as connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO payment (memo) VALUES ('here')")
    profile = project.folder / "profiles" / "app.yml"
    written = name.replace("'", "''")
    profile.write_text(profile.read_text("utf-8").replace("path: live.sqlite3", f"path: '{written}'"), "utf-8")
    archive = project.apply()
    assert memos(unpack(archive, tmp_path)) == {"here"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_writer_that_dies_while_it_is_copied_spoils_nothing(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project", rows=2000)
    script = HALF_A_TRANSACTION.replace("payment", "finance_payment")
    with killed_writer(script, project.folder / "school.sqlite3") as writer:
        with subprocess.Popen([*COMMAND, "apply", "app"], cwd=project.folder, stderr=subprocess.PIPE) as backup:
            time.sleep(1)
            writer.send_signal(signal.SIGKILL)
            _, said = backup.communicate(timeout=100)
    assert backup.returncode == 0, said
    with opened(unpack(project.archives()[0], tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM finance_payment WHERE memo LIKE 'tranche%'").fetchone() == (
            2000,
        )
