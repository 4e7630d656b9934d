"""From configuration to the concrete engine or destination; the type checker proves that every kind is handled."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import assert_never

from runner.databases.base import Capture
from runner.destinations.base import Destination
from runner.destinations.local import LocalFolder
from runner.model.profile import DatabaseConfig, DestinationConfig, PostgresqlConfig, SqliteConfig


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


def open_destination(config: DestinationConfig) -> Destination:
    """The destination that a profile describes."""
    return LocalFolder(config)
