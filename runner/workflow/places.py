"""From configuration to the concrete engine or destination; the type checker proves that every kind is handled."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import assert_never

from runner.databases.base import Capture, Restoration
from runner.destinations.base import Destination
from runner.destinations.local import LocalFolder
from runner.errors import RecoveryNeeded, raise_all
from runner.lanes import lanes_for
from runner.messages import msg
from runner.model.marks import DatabaseMarks, PostgresqlMarks, RunNames, SqliteMarks
from runner.model.profile import DatabaseConfig, DestinationConfig, PostgresqlConfig, Profile, SqliteConfig
from runner.secrets import missing


def open_capture(config: DatabaseConfig, workspace: Path, timestamp: str) -> AbstractContextManager[Capture]:
    """Fix one instant of a database. Drivers are imported late: a profile without PostgreSQL needs no psycopg."""
    match config:
        case PostgresqlConfig():
            from runner.databases import postgresql

            return postgresql.open_capture(config, workspace, timestamp)
        case SqliteConfig():
            from runner.databases import sqlite

            return sqlite.open_capture(config, workspace, timestamp)
        case _:
            assert_never(config)


def open_restoration(
    profile: Profile, names: RunNames, marks: DatabaseMarks | None, kept: Path | None, workspace: Path
) -> Restoration:
    """The way back of a profile's database; `marks` as another process noted them, None for a new restore.

    Raises ConfigurationInvalid when neither the profile's secret nor the administrator's is there, for both.
    """
    match profile.database, marks:
        case PostgresqlConfig() as config, (PostgresqlMarks() | None) as noted:
            from runner.databases import postgresql

            admin = profile.restore.admin
            if own := missing(config.password):
                theirs = [] if admin is None else missing(admin.password)
                if admin is None or theirs:
                    raise_all([*own, *theirs])
            return postgresql.open_restoration(config, admin, names, noted, workspace, lanes_for(profile.jobs))
        case SqliteConfig() as config, (SqliteMarks() | None) as noted:
            from runner.databases import sqlite

            return sqlite.open_restoration(config, names, noted, kept)
        case _:
            raise RecoveryNeeded(
                msg("the interrupted restore was of another kind of database than the profile has now"),
                where=str(profile.source),
                hint=msg("put the profile back as it was when the restore began, and run `runner recover`"),
            )


def open_destination(config: DestinationConfig) -> Destination:
    """The destination that a profile describes."""
    return LocalFolder(config)
