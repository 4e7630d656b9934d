"""What is there before a restore, and what speaks against one; nothing is changed."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from runner.databases.base import LiveDatabase, Offer, Preflight
from runner.databases.sqlite.connection import (
    connect,
    count,
    is_busy,
    is_malformed,
    malformations,
    open_live,
    pragma,
    quoted,
    sidecars,
    table_names,
)
from runner.errors import Finding
from runner.messages import Message, msg
from runner.model.manifest import SqliteRecord

EXACT_BYTES = 64 << 20
"""Up to this size rows are counted and the live file is checked whole; more would keep a person waiting."""
_LOCK_SECONDS = 2.0


def look_at(path: Path) -> LiveDatabase:
    """What is there. Raises sqlite3.Error unless it is only malformed."""
    files = [file.stat() for file in (path, *sidecars(path)) if file.is_file()]
    if not path.is_file():
        return LiveDatabase(exists=False)
    size = path.stat().st_size
    newest = datetime.fromtimestamp(max(file.st_mtime for file in files), UTC)
    try:
        with closing(open_live(path)) as connection:
            names = table_names(connection)
            exact = size <= EXACT_BYTES
            rows = sum(count(connection, name) if exact else _estimate(connection, name) for name in names)
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        return LiveDatabase(exists=True, size_bytes=size, newest_change=newest)
    return LiveDatabase(
        exists=True, size_bytes=size, tables=len(names), rows=rows, rows_are_exact=exact, newest_change=newest
    )


def is_readable(path: Path) -> bool:
    """Whether SQLite can read the schema at all; one that can may still be written into. Raises sqlite3.Error."""
    try:
        with closing(connect(path, "rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            pragma(connection, "schema_version")
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        return False
    return True


def find_obstacles(path: Path, kept: Path | None, offer: Offer) -> Preflight:
    """All of them at once. Raises nothing of SQLite's."""
    found = Preflight(errors=[*_of_offer(offer, path), *_of_place(path, kept)])
    if found.errors or not os.path.lexists(path):
        if not found.errors:
            found.errors += _of_space(path, kept, offer)
        return found
    _of_live(path, found)
    found.errors += _of_space(path, kept, offer)
    return found


def _of_offer(offer: Offer, path: Path) -> Iterator[Finding]:
    if offer.kind != "file" or not (offer.record is None or isinstance(offer.record, SqliteRecord)):
        yield _error(
            "engine", path, msg("the archive does not hold a SQLite database, and the profile's is one"),
            msg("choose an archive of this profile, or set `database.engine` to the archive's"),
        )  # fmt: skip


def _of_place(path: Path, kept: Path | None) -> Iterator[Finding]:
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        yield _error(
            "path",
            path,
            msg("this is not a file"),
            msg("check `database.path`: a database is a file, or not there yet"),
        )
    if not path.parent.is_dir():
        yield _error(
            "folder", path.parent, msg("the folder of the database is not there"),
            msg("create it, or correct `database.path` in the profile"),
        )  # fmt: skip
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        yield _error(
            "folder", path.parent, msg("the folder of the database cannot be written to"),
            msg("run as the user that owns it: SQLite keeps its journals there"),
        )  # fmt: skip
    if os.path.isfile(path) and not os.access(path, os.R_OK | os.W_OK):  # noqa: PTH113 - never raises
        yield _error(
            "path", path, msg("the database cannot be read and written"), msg("run as the user that owns the file")
        )
    if kept is not None and os.path.lexists(kept):
        yield _error(
            "kept",
            kept,
            msg("the name of the safety copy is taken"),
            msg("move that file away, or try again in a second"),
        )


def _of_live(path: Path, found: Preflight) -> None:
    try:
        with closing(connect(path, "rw", busy_seconds=_LOCK_SECONDS)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
            small = path.stat().st_size <= EXACT_BYTES
            problems = malformations(connection) if small else []
    except sqlite3.DatabaseError as error:
        if is_malformed(error):
            message = msg("the live file is no sound database: it will be moved aside and replaced by a rename")
            hint = msg("stop the application first: what has the old file open would go on writing into it")
            found.warnings.append(_error("malformed", path, message, hint))
        elif is_busy(error):
            message = msg("the database is locked by another program")
            hint = msg("wait until it is done, or stop the program that holds a transaction open")
            found.errors.append(_error("locked", path, message, hint))
        else:
            message = msg("SQLite cannot open the live database: {reason}", reason=str(error))
            hint = msg("check the permissions of the file and its folder, and the disk")
            found.errors.append(_error("unusable", path, message, hint))
        return
    if problems:
        message = msg("the live database is malformed, and its safety copy will be: {problems}", problems=problems[0])
        hint = msg("the restore replaces it; repair the copy later with `sqlite3 FILE .recover`")
        found.warnings.append(_error("malformed", path, message, hint))


def _of_space(path: Path, kept: Path | None, offer: Offer) -> Iterator[Finding]:
    """The staged file, the journal of the swap (the old pages, or the new ones), and the safety copy."""
    old = sum(file.stat().st_size for file in (path, *sidecars(path)) if file.is_file())
    needs = [(path.parent, offer.unpacked_bytes + max(old, offer.unpacked_bytes))]
    if kept is not None:
        folder = next(parent for parent in kept.parents if parent.is_dir())
        needs.append((folder, old))
        if folder.stat().st_dev == path.parent.stat().st_dev:
            needs = [(path.parent, needs[0][1] + old)]
    for folder, needed in needs:
        free = shutil.disk_usage(folder).free
        if free < needed:
            message = msg("{free} bytes are free, {needed} are needed", free=free, needed=needed)
            yield _error("space", folder, message, msg("free some space on that disk"))


def _estimate(connection: sqlite3.Connection, table: str) -> int:
    """The highest row number, which costs nothing; a table without row numbers counts for nothing."""
    try:
        row = connection.execute(f"SELECT max(rowid) FROM {quoted(table)}").fetchone()  # noqa: S608 - quoted
    except sqlite3.OperationalError:
        return 0
    return max(0, row[0]) if isinstance(row[0], int) else 0


def _error(code: str, where: Path, message: Message, hint: Message) -> Finding:
    return Finding(f"preflight.{code}", message, str(where), hint)
