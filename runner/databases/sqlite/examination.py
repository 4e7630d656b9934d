"""What can be found out about a SQLite file without changing it."""

import sqlite3
from contextlib import closing

from runner.databases.examination import Seen
from runner.databases.sqlite.connection import open_live, table_names
from runner.errors import SourceMissing, StepFailed
from runner.messages import msg
from runner.model.profile import SqliteConfig


def look(config: SqliteConfig) -> Seen:
    """Open it and let SQLite check it quickly. Raises SourceMissing, StepFailed."""
    where = str(config.path)
    if not config.path.is_file():
        raise SourceMissing(
            msg("the database file is not there"), where=where, hint=msg("check `database.path` in the profile")
        )
    try:
        with closing(open_live(config.path)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            tables = len(table_names(connection))
    except sqlite3.Error as error:
        hint = msg("check the permissions of the file and of its folder, and that it is a database")
        message = msg("the database cannot be read: {reason}", reason=str(error))
        raise StepFailed(message, where=where, hint=hint) from None
    if said != "ok":
        hint = msg("restore a backup, or see `sqlite3 FILE .recover`")
        raise StepFailed(msg("the database is damaged: {said}", said=said), where=where, hint=hint)
    size = config.path.stat().st_size
    fact = msg("SQLite opens {path}, {size} KiB, tables: {tables}", path=where, size=-(-size >> 10), tables=tables)
    return Seen(where, (fact,))
