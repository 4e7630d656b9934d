"""The new database beside the live one: made from the dump, checked, compared, flushed."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from runner.databases.sqlite.connection import (
    connect,
    integrity_problems,
    pragma,
    remove_database,
    sequences,
    sidecars,
    tables,
)
from runner.databases.sqlite.overwriting import pad
from runner.durable import PRIVATE_FILE, create_private, flush_file, flush_folder
from runner.errors import Finding, IntegrityError
from runner.lanes import Stop
from runner.messages import msg
from runner.model.manifest import SqliteRecord

_SHOWN_VIOLATIONS = 5
_PAGES_AT_ONCE = 4096


def make_staged(
    dump: Path, staged: Path, live: Path, page_size: int | None, stop: Stop | None = None
) -> tuple[Finding, ...]:
    """Make `staged` from `dump` with that page size (None: the dump's own), on the disk, with no file beside it.

    `dump` is changed. Returns what a person should know. Raises IntegrityError, sqlite3.Error, OSError, Stopped.
    """
    stop = stop or Stop()
    remove_database(staged)
    with closing(connect(dump, "rw")) as source, stop.ending(source.interrupt):
        pragma(source, "journal_mode = DELETE")
        create_private(staged).close()
        if page_size is None or int(pragma(source, "page_size")) == page_size:
            with closing(connect(staged, "rw")) as target:
                source.backup(target, pages=_PAGES_AT_ONCE, progress=lambda *_: stop.check())
        else:
            # Not backup and VACUUM: only VACUUM INTO keeps the row numbers of tables that do not name theirs.
            source.execute(f"PRAGMA page_size = {page_size}")
            source.execute("VACUUM INTO ?", (str(staged),))
    with closing(connect(staged, "rw")) as target, stop.ending(target.interrupt):
        pragma(target, "journal_mode = DELETE")
        pad(target)
        found = (*_integrity(target, staged), *_foreign_keys(target, staged))
    for sidecar in sidecars(staged):
        sidecar.unlink(missing_ok=True)
    _look_like(staged, live)
    flush(staged)
    return found


def flush(path: Path) -> None:
    """`path` and its name are on the disk when this returns."""
    with path.open("r+b") as file:
        flush_file(file)
    flush_folder(path.parent)


def differences(staged: Path, record: SqliteRecord) -> Iterator[Finding]:
    """Where the staged database is not as the record says. Raises sqlite3.Error."""
    where = str(staged)
    with closing(connect(staged, "ro")) as connection:
        rows: dict[str, object] = {table.name: table.rows for table in tables(connection)}
        ends: dict[str, object] = {sequence.name: sequence.last_value for sequence in sequences(connection)}
        numbers: dict[str, object] = {
            name: int(pragma(connection, name)) for name in ("user_version", "application_id")
        }
    expected_rows: dict[str, object] = {table.name: table.rows for table in record.tables}
    for name, expected, found in _unequal(expected_rows, rows):
        message = msg("table {name}: {found} rows instead of {expected}", name=name, found=found, expected=expected)
        yield Finding("compare.rows", message, where)
    expected_ends: dict[str, object] = {sequence.name: sequence.last_value for sequence in record.sequences}
    for name, expected, found in _unequal(expected_ends, ends):
        message = msg("sequence of {name}: at {found} instead of {expected}", name=name, found=found, expected=expected)
        yield Finding("compare.sequence", message, where)
    for name, expected, found in _unequal(
        {"user_version": record.user_version, "application_id": record.application_id}, numbers
    ):
        message = msg("{name} is {found} instead of {expected}", name=name, found=found, expected=expected)
        yield Finding("compare.version", message, where)


def _unequal(expected: dict[str, object], found: dict[str, object]) -> Iterator[tuple[str, object, object]]:
    for name in sorted({*expected, *found}):
        pair = expected.get(name, "no"), found.get(name, "no")
        if pair[0] != pair[1]:
            yield name, *pair


def _integrity(connection: sqlite3.Connection, staged: Path) -> Iterator[Finding]:
    problems, unchecked = integrity_problems(connection)
    if problems:
        raise IntegrityError(
            msg("the SQLite database in the archive is malformed: {problems}", problems="; ".join(problems)),
            where=str(staged),
            hint=msg("restore another archive, or repair this one's database with `sqlite3 FILE .recover`"),
        )
    if unchecked is not None:
        message = msg("its integrity could not be checked whole: {reason}", reason=unchecked)
        hint = msg("its indexes use functions of the application; run `PRAGMA integrity_check` from there")
        yield Finding("database.unchecked", message, str(staged), hint)


def _foreign_keys(connection: sqlite3.Connection, staged: Path) -> Iterator[Finding]:
    """SQLite enforces foreign keys only where asked to, so that a dump may well hold rows that break one."""
    hint = msg("the archive has the database as it was; mend these rows in the application")
    try:
        broken = [str(row[0]) for row in connection.execute("PRAGMA foreign_key_check")]
    except sqlite3.OperationalError as error:
        message = msg("its foreign keys cannot be checked: {reason}", reason=str(error))
        yield Finding("database.foreign-keys", message, str(staged), hint)
        return
    if broken:
        names = ", ".join(sorted(set(broken))[:_SHOWN_VIOLATIONS])
        message = msg("{count} rows break a foreign key, in {tables}", count=len(broken), tables=names)
        yield Finding("database.foreign-keys", message, str(staged), hint)


def _look_like(staged: Path, live: Path) -> None:
    """Mode and owner of the live file; where there is none, private, and of whoever owns the folder."""
    try:
        mode, model = live.stat().st_mode & 0o7777, live.stat()
    except FileNotFoundError:
        mode, model = PRIVATE_FILE, live.parent.stat()
    if hasattr(os, "chown"):
        with suppress(PermissionError):
            shutil.chown(staged, model.st_uid, model.st_gid)
    staged.chmod(mode)
