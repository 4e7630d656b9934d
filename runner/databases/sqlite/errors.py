"""The errors of a restore: SQLite's and the system's, turned into ours at this edge."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.databases.sqlite.connection import is_busy, is_malformed, stayed_locked
from runner.errors import IntegrityError, RunnerError, StepFailed, WorkspaceFailed
from runner.messages import msg


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """`path` is the file that is being worked on. Raises IntegrityError, WorkspaceFailed or StepFailed."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _from_sqlite(error, path) from None
    except OSError as error:
        raise _from_system(error, path) from None


def _from_sqlite(error: sqlite3.DatabaseError, path: Path) -> RunnerError:
    reason = str(error)
    if is_malformed(error):
        return IntegrityError(
            msg("this is not a sound SQLite database: {reason}", reason=reason),
            where=str(path),
            hint=msg("nothing was replaced; look whether the archive or the disk is damaged"),
        )
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        return _full(path, reason)
    if is_busy(error):
        return stayed_locked(path)
    return StepFailed(
        msg("SQLite failed: {reason}", reason=reason),
        where=str(path),
        hint=msg("check the permissions of the file and its folder (SQLite has to write there), and the disk"),
    )


def _from_system(error: OSError, path: Path) -> RunnerError:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path, reason)
    return StepFailed(
        msg("the file cannot be written: {reason}", reason=reason),
        where=str(error.filename or path),
        hint=msg("check the permissions of the file and its folder, and the disk"),
    )


def _full(path: Path, reason: str) -> WorkspaceFailed:
    return WorkspaceFailed(
        msg("there is no room to write: {reason}", reason=reason),
        where=str(path),
        hint=msg("free some space on that disk and try again; the old content is still there"),
    )
