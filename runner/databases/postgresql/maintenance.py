"""The session in the maintenance database that holds the lock of one restore.

Whatever changes databases as a whole (create, rename, close, drop) goes through this one session. The server gives its
advisory lock free only when the session has ended, its last statement included: whoever holds the lock knows that
nothing of an earlier, killed process is still under way.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg

from runner.databases.postgresql.connection import connect, describe, password_of, restore_errors
from runner.errors import LockHeld, RecoveryNeeded
from runner.lanes import Stop
from runner.messages import msg
from runner.model.profile import AdminConfig, PostgresqlConfig

Connection = psycopg.Connection[tuple[object, ...]]

_POLL_SECONDS = 0.2
_CANCEL_SECONDS = 5.0
_RECONNECT_PATIENCE_SECONDS = 30.0
_NO_LIMITS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do on the server as a whole. `runs_programs`: it can become, or is as good as, a superuser.

    `exists` False: there is no such role, so it may do nothing.
    """

    role: str
    superuser: bool
    createdb: bool
    runs_programs: bool
    exists: bool = True


_RIGHTS = """
SELECT r.rolname::text, r.rolsuper, r.rolcreatedb,
       EXISTS (SELECT FROM pg_roles s WHERE pg_has_role(r.oid, s.oid, 'MEMBER')
               AND (s.rolsuper OR s.rolname IN ('pg_execute_server_program', 'pg_write_server_files')))
FROM pg_roles r WHERE r.rolname = {role}
"""


def read_rights(connection: Connection, role: str | None = None) -> Rights:
    """The rights of `role`, or of the session's own. Raises psycopg.Error."""
    rows = connection.execute(
        _RIGHTS.format(role="current_user" if role is None else "%s"), None if role is None else [role]
    ).fetchall()
    if not rows:
        return Rights(role or "", superuser=False, createdb=False, runs_programs=False, exists=False)
    name, superuser, createdb, runs_programs = rows[0]
    return Rights(str(name), bool(superuser), bool(createdb), bool(runs_programs))


def read_server(connection: Connection) -> str | None:
    """The number that a cluster gets when it is made, and a standby shares; None where this role may not ask for it."""
    try:
        return str(connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchall()[0][0])
    except psycopg.errors.InsufficientPrivilege:
        return None


def acting_as(config: PostgresqlConfig, admin: AdminConfig | None) -> PostgresqlConfig:
    """The same server by its maintenance database, as `admin` where one is given."""
    there = replace(config, name=config.maintenance)
    return there if admin is None else replace(there, user=admin.user, password=admin.password)


def connect_unlimited(config: PostgresqlConfig) -> Connection:
    """A session that no timeout ends and that may write, whatever the role's settings say. Raises ServerUnavailable."""
    connection = connect(config, password_of(config))
    try:
        with restore_errors(config):
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("SET synchronous_commit = on")
            connection.execute(
                "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(%s)", [list(_NO_LIMITS)]
            )
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def stoppable(config: PostgresqlConfig, stop: Stop) -> Iterator[Connection]:
    """Such a session, in which `stop` ends the statement that runs, as Stopped; psycopg's errors come out as ours."""
    with connect_unlimited(config) as connection:

        def cancel() -> None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=_CANCEL_SECONDS)

        with stop.ending(cancel), restore_errors(config):
            yield connection


class Maintenance:
    """The session and its lock. A session that the server ended is replaced, and the lock taken again."""

    def __init__(self, config: PostgresqlConfig, database: str, patience_seconds: float) -> None:
        """`config` names the maintenance database and who acts there, `database` what is locked."""
        self._config = config
        self._database = database
        self._patience = patience_seconds
        self._connection: Connection | None = None

    def open(self, server: str | None = None) -> None:
        """Connect and take the lock. Raises ServerUnavailable, LockHeld, RecoveryNeeded when it is not `server`."""
        self._connection = self._locked(self._patience)
        with self.session() as session:
            found = read_server(session)
        if server is not None and found is not None and found != server:
            self.close()
            raise RecoveryNeeded(
                msg("the interrupted restore was of the database `{name}` on another server", name=self._database),
                where=describe(self._config),
                hint=msg("put `host` and `port` back into the profile as they were, and run `runner recover`"),
            )

    def close(self) -> None:
        """Let the lock go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """The session, alive and holding the lock; psycopg's errors come out as ours."""
        with restore_errors(self._config):
            yield self._alive()

    def _alive(self) -> Connection:
        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
            except psycopg.OperationalError:
                self.close()
        if self._connection is None:
            self._connection = self._locked(_RECONNECT_PATIENCE_SECONDS)
        return self._connection

    def _locked(self, patience_seconds: float) -> Connection:
        connection = connect_unlimited(self._config)
        try:
            with restore_errors(self._config):
                self._take(connection, time.monotonic() + patience_seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take(self, connection: Connection, until: float) -> None:
        """A killed process's session may need a moment to end, so this waits a little."""
        key = int.from_bytes(hashlib.sha256(f"runner:{self._database}".encode()).digest()[:8], "big", signed=True)
        while not connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchall()[0][0]:
            if time.monotonic() >= until:
                raise LockHeld(
                    msg("another restore of the database `{name}` is going on", name=self._database),
                    where=describe(self._config),
                    hint=msg("wait until it has ended; it may run on another machine"),
                )
            time.sleep(_POLL_SECONDS)
