"""SQLite: its own online backup, for the copy that is taken and for the one that comes back."""

from runner.databases.sqlite.capture import SqliteCapture, open_capture
from runner.databases.sqlite.restoration import SqliteRestoration, open_restoration

__all__ = ["SqliteCapture", "SqliteRestoration", "open_capture", "open_restoration"]
