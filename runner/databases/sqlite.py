"""SQLite: one consistent copy by SQLite's own online backup, whatever its journal mode and whoever writes meanwhile.

Source: https://www.sqlite.org/backup.html and https://www.sqlite.org/wal.html (section "Read-Only Databases").
"""

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runner.databases.base import DumpPart
from runner.durable import PRIVATE_FILE
from runner.errors import Finding, IntegrityError, SourceMissing, StepFailed, WorkspaceFailed
from runner.messages import msg, printable
from runner.model.manifest import DjangoRecord, MigrationRecord, SequenceRecord, SqliteRecord, TableRecord
from runner.model.profile import Reference, SqliteConfig

_CHUNK_BYTES = 1 << 20
_BUSY_SECONDS = 120.0
_RETRY_SECONDS = 0.1
_FETCH_ROWS = 10_000
_NEEDS_WRITING = ("SQLITE_CANTOPEN", "SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTINIT")


def open_capture(config: SqliteConfig, workspace: Path, timestamp: str) -> "SqliteCapture":
    """Copy the database as it is at one instant. Raises SourceMissing, StepFailed, IntegrityError."""
    try:
        there = config.path.is_file()
    except OSError:
        there = True  # behind a closed folder: SQLite tells that better
    if not there:
        raise SourceMissing(
            msg("the SQLite database is not there"),
            where=str(config.path),
            hint=msg("check `database.path` in the profile; relative paths start at the folder of backup.yml"),
        )
    copy = workspace / f"db_sqlite_{timestamp}.sqlite3"
    with _mapped(config.path):
        _copy_online(config.path, copy)
        return SqliteCapture(config, copy)


class SqliteCapture:
    """See `runner.databases.base.Capture`. The copy is the captured instant."""

    def __init__(self, config: SqliteConfig, copy: Path) -> None:
        """Raises sqlite3.Error, or IntegrityError when the copy is malformed."""
        self._config = config
        self._copy = copy
        self._size = copy.stat().st_size
        self._unchecked: str | None = None
        self._connection = _connect(copy, "rw")  # ours alone; read-only would stumble over a WAL database
        try:
            self._check_integrity()
            self._record = self._read_record()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "SqliteCapture":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        for path in self._copy.parent.glob(f"{self._copy.name}*"):
            path.unlink()

    def referenced(self, reference: Reference) -> Iterator[str]:
        with _mapped(self._config.path):
            yield from _values(self._connection, reference)

    def still_referenced(self, reference: Reference, values: Collection[str]) -> frozenset[str]:
        with _mapped(self._config.path), closing(_open_live(self._config.path)) as live:
            return frozenset(values).intersection(_values(live, reference))

    def parts(self, *, gzip: bool) -> Iterator[DumpPart]:  # noqa: ARG002 - SQLite has no such files
        yield DumpPart(self._copy.name, self._size, "deflate", self._chunks())

    def record(self) -> SqliteRecord:
        return self._record

    def findings(self) -> tuple[Finding, ...]:
        where = str(self._config.path)
        found: list[Finding] = []
        if not self._record.tables:
            hint = msg("check `database.path`: is this the application's database?")
            found.append(Finding("database.empty", msg("the database has no tables"), where, hint))
        if self._unchecked is not None:
            message = msg("its integrity could not be checked whole: {reason}", reason=self._unchecked)
            hint = msg("its indexes use functions of the application; run `PRAGMA integrity_check` from there")
            found.append(Finding("database.unchecked", message, where, hint))
        return tuple(found)

    def _chunks(self) -> Iterator[bytes]:
        with self._copy.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def _check_integrity(self) -> None:
        """As far as it can be done without the functions and collations that an application may use in its schema."""
        self._connection.execute("PRAGMA ignore_check_constraints = ON")  # what breaks one is kept as it is
        problems = ["ok"]
        for check in ("integrity_check", "quick_check"):
            try:
                problems = [row[0] for row in self._connection.execute(f"PRAGMA {check}(5)")]
                break
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_ERROR"):
                    raise
                self._unchecked = str(error)
        if problems != ["ok"]:
            raise IntegrityError(
                msg("the SQLite database is malformed: {problems}", problems="; ".join(problems)),
                where=str(self._config.path),
                hint=msg("keep the last good archive, and repair the database with `sqlite3 FILE .recover`"),
            )

    def _read_record(self) -> SqliteRecord:
        connection = self._connection
        names = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        return SqliteRecord(
            path=printable(str(self._config.path)),
            sqlite_version=sqlite3.sqlite_version,
            encoding=str(self._pragma("encoding")),
            page_size=int(self._pragma("page_size")),
            journal_mode=_journal_mode(self._copy),
            user_version=int(self._pragma("user_version")),
            application_id=int(self._pragma("application_id")),
            size=self._size,
            dump=self._copy.name,
            tables=tuple(
                TableRecord(name=name, rows=self._count(name))
                for name in names
                if not name.startswith("sqlite_") and self._is_readable(name)
            ),
            sequences=self._sequences("sqlite_sequence" in names),
            django=self._django() if "django_migrations" in names else None,
        )

    def _pragma(self, name: str) -> str:
        return str(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()[0])  # noqa: S608 - quoted

    def _is_readable(self, table: str) -> bool:
        """A virtual table needs its module, which this SQLite may lack; its own tables are counted all the same."""
        try:
            self._connection.execute(f"SELECT 1 FROM {_quoted(table)} LIMIT 1")  # noqa: S608 - quoted
        except sqlite3.OperationalError:
            return False
        return True

    def _sequences(self, present: bool) -> tuple[SequenceRecord, ...]:  # noqa: FBT001 - a fact, not a switch
        if not present:
            return ()
        rows = self._connection.execute("SELECT name, max(seq) FROM sqlite_sequence GROUP BY name ORDER BY name")
        return tuple(SequenceRecord(name=str(name), last_value=int(seq or 0), is_called=True) for name, seq in rows)

    def _django(self) -> DjangoRecord | None:
        columns = {row[1] for row in self._connection.execute("PRAGMA table_info(django_migrations)")}
        if not {"app", "name"} <= columns:
            return None
        rows = self._connection.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
        return DjangoRecord(migrations=tuple(MigrationRecord(app=str(app), name=str(name)) for app, name in rows))


def _copy_online(source: Path, copy: Path) -> None:
    """One backup step under one read lock: the copy is of one instant. Waits for a writer that locks all out."""
    deadline = time.monotonic() + _BUSY_SECONDS

    def give_up(_status: int, _remaining: int, _total: int) -> None:
        if time.monotonic() > deadline:
            raise StepFailed(
                msg("the SQLite database stayed locked for {seconds:.0f} seconds", seconds=_BUSY_SECONDS),
                where=str(source),
                hint=msg("find the program that holds a transaction open, or stop the application"),
            )

    copy.touch(mode=PRIVATE_FILE)
    with closing(_open_live(source)) as live, closing(sqlite3.connect(copy, isolation_level=None)) as target:
        live.backup(target, pages=-1, progress=give_up, sleep=_RETRY_SECONDS)


def _open_live(path: Path) -> sqlite3.Connection:
    """Read-only where that works. A hot journal or a lost `-shm` must be put right first, which needs writing."""
    connection = _connect(path, "ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorname not in _NEEDS_WRITING:
            raise
        return _connect(path, "rw")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _journal_mode(path: Path) -> str:
    """From the file's own header (byte 18: 2 is WAL), which asks nothing of the file."""
    with path.open("rb") as file:
        header = file.read(20)
    return "wal" if header[18:19] == b"\2" else "delete"


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        name, reason = getattr(error, "sqlite_errorname", ""), str(error)
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            raise IntegrityError(
                msg("this is not a sound SQLite database: {reason}", reason=reason),
                where=str(path),
                hint=msg("keep the last good archive; nothing was backed up"),
            ) from None
        if name == "SQLITE_FULL":
            raise WorkspaceFailed(
                msg("the copy of the SQLite database cannot be written: {reason}", reason=reason),
                where=str(path),
                hint=msg("free some space in the state folder, or set `state` in backup.yml to one on a larger disk"),
            ) from None
        if reason.startswith(("no such table", "no such column")):
            raise SourceMissing(
                msg("the database has no such table or column: {reason}", reason=reason),
                where=str(path),
                hint=msg("check `media.references` in the profile"),
            ) from None
        raise StepFailed(
            msg("SQLite failed: {reason}", reason=reason),
            where=str(path),
            hint=msg("check the permissions of the file and its folder (SQLite may have to write there), and the disk"),
        ) from None


def _values(connection: sqlite3.Connection, reference: Reference) -> Iterator[str]:
    """Every distinct, non-empty value of a column, whatever its type; bytes that are not UTF-8 as surrogate escapes."""
    names = reference.table.split(".", 1)
    # With its table in front: SQLite takes an unknown name in quotes for a text. Compared as bytes: a column may ignore
    # case, or use a collation of the application's own.
    column = f"{_quoted(names[-1])}.{_quoted(reference.column)}"
    query = f"SELECT DISTINCT {column} COLLATE BINARY FROM {'.'.join(map(_quoted, names))} WHERE {column} IS NOT NULL"  # noqa: S608 - quoted
    connection.text_factory = bytes
    with closing(connection.execute(query)) as cursor:
        while rows := cursor.fetchmany(_FETCH_ROWS):
            yield from filter(None, (_text(value) for (value,) in rows))


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
