"""Connections to SQLite files, one online copy, and what is asked of every database.

Never open a live database's file by other means while one of these connections is open: closing it would drop the
locks of the whole process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from runner.durable import create_private, remove_file
from runner.errors import StepFailed
from runner.messages import msg
from runner.model.manifest import SequenceRecord, TableRecord

BUSY_SECONDS = 120.0
_RETRY_SECONDS = 0.1
SIDECARS = ("-journal", "-wal", "-shm")
_NEEDS_WRITING = ("SQLITE_CANTOPEN", "SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTINIT")
_MALFORMED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


def connect(path: Path, mode: str, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode; `mode` is `ro`, `rw` or `rwc`. A schema may be hostile: it is not trusted."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=busy_seconds
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def open_live(path: Path) -> sqlite3.Connection:
    """Read-only where that works. A hot journal or a lost `-shm` must be put right first, which needs writing."""
    connection = connect(path, "ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorname not in _NEEDS_WRITING:
            raise
        return connect(path, "rw")
    except BaseException:
        connection.close()
        raise
    return connection


def copy_online(live: sqlite3.Connection, source: Path, copy: Path) -> None:
    """One backup step under one read lock: the copy is of one instant. Waits for a writer that locks all out.

    `copy` is made, mode 0600. Raises FileExistsError, sqlite3.Error, or StepFailed when `source` stays locked.
    """
    deadline = time.monotonic() + BUSY_SECONDS

    def give_up(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise stayed_locked(source)

    create_private(copy).close()
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        live.backup(target, pages=-1, progress=give_up, sleep=_RETRY_SECONDS)


def stayed_locked(path: Path) -> StepFailed:
    return StepFailed(
        msg("the SQLite database stayed locked for {seconds:.0f} seconds", seconds=BUSY_SECONDS),
        where=str(path),
        hint=msg("find the program that holds a transaction open, or stop the application"),
    )


def is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(_BUSY)


def is_malformed(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(_MALFORMED)


def pragma(connection: sqlite3.Connection, name: str) -> str:
    return str(connection.execute(f"PRAGMA {name}").fetchone()[0])


def integrity_problems(connection: sqlite3.Connection) -> tuple[list[str], str | None]:
    """What is malformed, and why it could not be checked whole (None: it could).

    As far as it can be done without the functions and collations that an application may use in its schema.
    Raises sqlite3.Error when it cannot be read at all.
    """
    connection.execute("PRAGMA ignore_check_constraints = ON")  # what breaks one is kept as it is
    unchecked: str | None = None
    for check in ("integrity_check", "quick_check"):
        try:
            problems = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(5)")]
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_ERROR"):
                raise
            unchecked = str(error)
        else:
            return [] if problems == ["ok"] else problems, unchecked
    return [], unchecked


def malformations(connection: sqlite3.Connection) -> list[str]:
    """What is malformed, also when so much is that the check itself fails. Raises sqlite3.Error for anything else."""
    try:
        return integrity_problems(connection)[0]
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        return [str(error)]


def table_names(connection: sqlite3.Connection) -> list[str]:
    """Every table that this SQLite can read, SQLite's own left out."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [name for (name,) in rows if not name.startswith("sqlite_") and _is_readable(connection, name)]


def tables(connection: sqlite3.Connection) -> tuple[TableRecord, ...]:
    return tuple(TableRecord(name=name, rows=count(connection, name)) for name in table_names(connection))


def count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0])  # noqa: S608 - quoted


def _is_readable(connection: sqlite3.Connection, table: str) -> bool:
    """A virtual table needs its module, which this SQLite may lack; its own tables are counted all the same."""
    try:
        connection.execute(f"SELECT 1 FROM {quoted(table)} LIMIT 1")  # noqa: S608 - quoted
    except sqlite3.OperationalError:
        return False
    return True


def sequences(connection: sqlite3.Connection) -> tuple[SequenceRecord, ...]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return ()
    rows = connection.execute("SELECT name, max(seq) FROM sqlite_sequence GROUP BY name ORDER BY name")
    return tuple(SequenceRecord(name=str(name), last_value=int(seq or 0), is_called=True) for name, seq in rows)


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def sidecars(path: Path) -> list[Path]:
    """The files that SQLite may keep beside `path`, there or not."""
    return [path.with_name(path.name + suffix) for suffix in SIDECARS]


def remove_database(path: Path) -> None:
    """Remove a database of this run and what SQLite kept beside it, as far as they are there."""
    for file in (path, *sidecars(path)):
        remove_file(file)
