"""One database written into another one that is in use, whole or not at all, by SQLite's backup call.

Source: https://www.sqlite.org/c3ref/backup_finish.html (the target is locked from the first step to the commit) and
https://www.sqlite.org/wal.html. Files are never renamed under an application that has them open: its next write would
be accepted, into the file that was moved away.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from runner.databases.sqlite import connection as sqlite
from runner.databases.sqlite.connection import connect, is_busy, pragma, stayed_locked
from runner.errors import StepFailed
from runner.messages import msg

_SLICE_SECONDS = 5.0
"""How long SQLite waits on its own for readers to leave; between two slices an interruption is heard."""
_RETRY_SECONDS = 0.002
"""Between two tries at a lock. SQLite's own waiting would seldom meet the gaps that a busy writer leaves."""
_SETTLE_SECONDS = 1.0

Before = Callable[[sqlite3.Connection], None]
"""Called with a connection that reads the old state, while nobody else can commit and nothing has been written."""


def overwrite(source: Path, live: Path, before: Before) -> None:
    """Make `source` the content of `live` in one transaction, on the disk when this returns.

    Whatever is raised, also by `before`, `live` has its old content; a kill leaves a journal that SQLite rolls back.
    `source` must have more than one page, and the page size of `live`. Waits up to BUSY_SECONDS for other connections.
    Raises sqlite3.Error, StepFailed.
    """
    deadline = time.monotonic() + sqlite.BUSY_SECONDS
    with closing(connect(source, "ro")) as new, closing(connect(live, "rw", busy_seconds=0)) as target:
        done = False
        while not done:
            try:
                target.execute("PRAGMA synchronous = EXTRA")
                _expect_pages(new, target, live)
                if pragma(target, "journal_mode") == "wal":
                    _overwrite_wal(new, target, live, deadline, before)
                    done = True
                else:
                    done = _overwrite_exclusively(new, target, deadline, before)
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                if time.monotonic() > deadline:
                    raise stayed_locked(live) from None
                time.sleep(_RETRY_SECONDS)
            finally:
                _settle(target)


def pad(database: sqlite3.Connection) -> None:
    """Give a database that fits in one page a second, free one: the backup call copies one page before it lets anyone
    look, and must not be done by then."""
    if int(pragma(database, "page_count")) > 1:
        return
    if pragma(database, "auto_vacuum") == "1":  # it would give the page back at once
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("CREATE TABLE runner_padding (unused)")
    database.execute("DROP TABLE runner_padding")


def _expect_pages(new: sqlite3.Connection, target: sqlite3.Connection, live: Path) -> None:
    if pragma(new, "page_size") != pragma(target, "page_size") or int(pragma(new, "page_count")) < 2:
        raise StepFailed(
            msg("the page size of the SQLite database has changed since its successor was staged"),
            where=str(live),
            hint=msg("run the restore again, and let nothing else rebuild the database meanwhile"),
        )


def _overwrite_wal(
    new: sqlite3.Connection, target: sqlite3.Connection, live: Path, deadline: float, before: Before
) -> None:
    """The first step takes the write lock and holds one page back in memory; others go on reading the old state."""
    looked = False

    def progress(status: int, _remaining: int, _total: int) -> None:
        nonlocal looked
        if status == sqlite3.SQLITE_OK and not looked:
            with closing(connect(live, "rw", busy_seconds=_SLICE_SECONDS)) as reader:
                before(reader)
            looked = True
        elif status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise stayed_locked(live)

    new.backup(target, pages=1, progress=progress, sleep=_RETRY_SECONDS)


def _overwrite_exclusively(
    new: sqlite3.Connection, target: sqlite3.Connection, deadline: float, before: Before
) -> bool:
    """In rollback mode nobody can read meanwhile, so one connection does it all. False: it is in WAL mode by now."""
    target.execute("PRAGMA locking_mode = EXCLUSIVE")
    target.execute("BEGIN IMMEDIATE")  # from here on nobody else writes
    _set_patience(target, min(_SLICE_SECONDS, sqlite.BUSY_SECONDS))
    while target.in_transaction:
        try:
            target.execute("COMMIT")  # from here on nobody else reads, and both stay so
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
    if pragma(target, "journal_mode") == "wal":
        return False
    before(target)
    new.backup(target, pages=-1)
    return True


def _settle(target: sqlite3.Connection) -> None:
    """Let the others in, and give the space of a write-ahead log back where nobody reads from it."""
    with suppress(sqlite3.Error):
        if target.in_transaction:
            target.execute("ROLLBACK")
        target.execute("PRAGMA locking_mode = NORMAL")
        target.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only an access gives the lock up
        if pragma(target, "journal_mode") == "wal":
            _set_patience(target, _SETTLE_SECONDS)
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        _set_patience(target, 0)


def _set_patience(target: sqlite3.Connection, seconds: float) -> None:
    target.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
