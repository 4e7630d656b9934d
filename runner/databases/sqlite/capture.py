"""SQLite: one consistent copy by SQLite's own online backup, whatever its journal mode and whoever writes meanwhile.

Source: https://www.sqlite.org/backup.html and https://www.sqlite.org/wal.html (section "Read-Only Databases").
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runner.databases.base import DumpPart, StillWanted, always_wanted
from runner.databases.sqlite.connection import (
    connect,
    copy_online,
    integrity_problems,
    is_malformed,
    open_live,
    pragma,
    quoted,
    sequences,
    tables,
)
from runner.errors import Finding, IntegrityError, SourceMissing, StepFailed, WorkspaceFailed
from runner.messages import msg, printable
from runner.model.manifest import DjangoRecord, MigrationRecord, SqliteRecord
from runner.model.profile import Reference, SqliteConfig

_CHUNK_BYTES = 1 << 20
_FETCH_ROWS = 10_000


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
        with closing(open_live(config.path)) as live:
            copy_online(live, config.path, copy)
        return SqliteCapture(config, copy)


class SqliteCapture:
    """See `runner.databases.base.Capture`. The copy is the captured instant."""

    def __init__(self, config: SqliteConfig, copy: Path) -> None:
        """Raises sqlite3.Error, or IntegrityError when the copy is malformed."""
        self._config = config
        self._copy = copy
        self._size = copy.stat().st_size
        self._unchecked: str | None = None
        self._connection = connect(copy, "rw")  # ours alone; read-only would stumble over a WAL database
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
        with _mapped(self._config.path), closing(open_live(self._config.path)) as live:
            return frozenset(values).intersection(_values(live, reference))

    def parts(
        self,
        *,
        gzip: bool,  # noqa: ARG002 - SQLite has no such files
        jobs: int = 1,  # noqa: ARG002 - it is one copy
        still_wanted: StillWanted = always_wanted,
    ) -> Iterator[DumpPart]:
        yield DumpPart(self._copy.name, self._size, "deflate", self._chunks(still_wanted))

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

    def _chunks(self, still_wanted: StillWanted) -> Iterator[bytes]:
        with self._copy.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                still_wanted()
                yield chunk

    def _check_integrity(self) -> None:
        problems, self._unchecked = integrity_problems(self._connection)
        if problems:
            raise IntegrityError(
                msg("the SQLite database is malformed: {problems}", problems="; ".join(problems)),
                where=str(self._config.path),
                hint=msg("keep the last good archive, and repair the database with `sqlite3 FILE .recover`"),
            )

    def _read_record(self) -> SqliteRecord:
        connection = self._connection
        return SqliteRecord(
            path=printable(str(self._config.path)),
            sqlite_version=sqlite3.sqlite_version,
            encoding=pragma(connection, "encoding"),
            page_size=int(pragma(connection, "page_size")),
            journal_mode=_journal_mode(self._copy),
            user_version=int(pragma(connection, "user_version")),
            application_id=int(pragma(connection, "application_id")),
            size=self._size,
            dump=self._copy.name,
            tables=tables(connection),
            sequences=sequences(connection),
            django=self._django(),
        )

    def _django(self) -> DjangoRecord | None:
        columns = {row[1] for row in self._connection.execute("PRAGMA table_info(django_migrations)")}
        if not {"app", "name"} <= columns:
            return None
        rows = self._connection.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
        return DjangoRecord(migrations=tuple(MigrationRecord(app=str(app), name=str(name)) for app, name in rows))


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
        if is_malformed(error):
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
    column = f"{quoted(names[-1])}.{quoted(reference.column)}"
    query = f"SELECT DISTINCT {column} COLLATE BINARY FROM {'.'.join(map(quoted, names))} WHERE {column} IS NOT NULL"  # noqa: S608 - quoted
    connection.text_factory = bytes
    with closing(connection.execute(query)) as cursor:
        while rows := cursor.fetchmany(_FETCH_ROWS):
            yield from filter(None, (_text(value) for (value,) in rows))


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
