"""PostgreSQL: one exported snapshot for a backup; a staged database, or one transaction, for a restore."""

from runner.databases.postgresql.capture import PostgresqlCapture, open_capture
from runner.databases.postgresql.choice import open_restoration
from runner.databases.postgresql.restoration import SwapRestoration

__all__ = ["PostgresqlCapture", "SwapRestoration", "open_capture", "open_restoration"]
