"""A SQLite restore in a folder of its own: the live database, the dump, the notes; also a process that swaps, and one
that writes.

`python -m tests.sqlite_restores swap FOLDER` and `… swap-back FOLDER` are what the tests kill, `… write FOLDER` is what
writes meanwhile.
"""

import hashlib
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runner.databases.base import DumpFile
from runner.databases.sqlite import SqliteRestoration, open_capture, open_restoration
from runner.errors import Finding
from runner.model.manifest import SqliteRecord
from runner.model.marks import DatabaseMarks, RunNames, SqliteMarks
from runner.model.profile import SqliteConfig

NAMES = RunNames("20260108_110353-0a1b2c3d")
MODES = ("delete", "truncate", "persist", "wal")
SCHEMA = "CREATE TABLE word (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE)"


def connect(path: Path, mode: str | None = None) -> sqlite3.Connection:
    """As an application has it open. `mode`: the journal mode, which only WAL keeps in the file."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    if mode is not None:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    return connection


def fill(connection: sqlite3.Connection, prefix: str, rows: int) -> None:
    """Rows of about 300 bytes, so that a few hundred make dozens of pages."""
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO word (text) VALUES (?)", ((f"{prefix}-{i}-{'x' * 280}",) for i in range(rows)))
    connection.execute("COMMIT")


def make_database(path: Path, prefix: str, rows: int, *statements: str, mode: str = "delete") -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute(SCHEMA)
        fill(connection, prefix, rows)


def content(path: Path) -> list[str]:
    """All of it as SQL, and the numbers of the header."""
    with closing(connect(path)) as connection:
        numbers = [f"{name} {connection.execute(f'PRAGMA {name}').fetchone()[0]}" for name in NUMBERS]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [*numbers, *connection.iterdump()]


NUMBERS = ("user_version", "application_id")


def words(path: Path) -> set[str]:
    with closing(connect(path)) as connection:
        return {text for (text,) in connection.execute("SELECT text FROM word")}


@dataclass(frozen=True, slots=True)
class Restore:
    """Everything of one restore lies in `folder`; `disk` is where the live database is."""

    folder: Path
    disk: Path
    kept: Path | None

    @property
    def live(self) -> Path:
        return self.disk / "db.sqlite3"

    @property
    def staged(self) -> Path:
        return NAMES.staged(self.live)

    @property
    def dump(self) -> Path:
        return self.folder / "dump.sqlite3"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def note(self, marks: DatabaseMarks) -> None:
        with self.journal.open("ab") as file:
            file.write(msgspec.json.encode(marks) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def marks(self) -> SqliteMarks | None:
        if not self.journal.exists():
            return None
        lines = [line for line in self.journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return msgspec.json.decode(lines[-1], type=SqliteMarks)

    def open(self) -> SqliteRestoration:
        """From the notes alone, as another process would."""
        return open_restoration(SqliteConfig(self.live), NAMES, self.marks(), self.kept)

    def stage(self) -> SqliteRestoration:
        restoration = self.open()
        restoration.stage(DumpFile(self.dump), None, self.note)
        return restoration

    def strangers(self) -> list[str]:
        """What lies beside the live database, its own sidecars apart."""
        own = {self.live.name, *(self.live.name + suffix for suffix in ("-wal", "-shm", "-journal"))}
        return sorted(path.name for path in self.disk.iterdir() if path.name not in own)


def make_restore(folder: Path, disk: Path | None = None, *, keep: bool = True) -> Restore:
    for path in (folder, folder / "live", folder / "backups_local"):
        path.mkdir(exist_ok=True, parents=True)
    kept = folder / "backups_local" / f"db_pre_restore_{NAMES.timestamp}.sqlite3" if keep else None
    return Restore(folder, disk or folder / "live", kept)


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


def write_until_told(restore: Restore) -> None:
    """Insert a row a transaction, and only then say so, until `stop` appears. The table may be another one by then."""
    said = os.open(restore.folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with closing(connect(restore.live)) as connection:
        number = 0
        while not (restore.folder / "stop").exists():
            connection.execute("INSERT INTO word (text) VALUES (?)", (f"told-{number}",))
            os.write(said, f"told-{number}\n".encode())
            number += 1
    os.close(said)


def main(arguments: Sequence[str]) -> None:
    what, folder = arguments
    restore = make_restore(Path(folder))
    if what == "swap":
        restore.open().swap(restore.note, None)
    elif what == "swap-back":
        restore.open().swap_back(restore.note)
    else:
        write_until_told(restore)


if __name__ == "__main__":
    main(sys.argv[1:])
