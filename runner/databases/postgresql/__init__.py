"""PostgreSQL: one exported snapshot for the catalog, the references and pg_dump."""

from runner.databases.postgresql.capture import PostgresqlCapture, open_capture

__all__ = ["PostgresqlCapture", "open_capture"]
