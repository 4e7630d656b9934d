"""A database from which everybody else is shut out, bit by bit: writers, then new sessions, then the old ones.

Used where the content of the live database is replaced in one transaction. Source: PostgreSQL's pages "Explicit
Locking", ALTER DATABASE, and the functions pg_current_xact_id, pg_xact_status and pg_logical_emit_message, 14 to 18.
"""

import time

import psycopg
from psycopg import sql

from runner.databases.postgresql.maintenance import Connection
from runner.errors import StepFailed
from runner.messages import msg
from runner.model.marks import Side

_LOCK_ATTEMPTS = 6
_LOCK_SECONDS = 10
_END_SECONDS = 30.0
_POLL_SECONDS = 0.1

_TABLES = """
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
ORDER BY c.oid
"""

# Who has no user is no client but the server itself. To a role without rights the other roles' kind is not shown.
_END_OTHERS = """
SELECT pid, usename::text, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datid = %s AND pid <> ALL(%s) AND usesysid IS NOT NULL AND backend_type IS DISTINCT FROM 'parallel worker'
  AND (pg_has_role(current_user, usesysid, 'MEMBER') OR pg_has_role(current_user, 'pg_signal_backend', 'MEMBER'))
  AND NOT coalesce((SELECT rolsuper FROM pg_roles WHERE oid = usesysid), false)
"""
_OTHERS = """
SELECT DISTINCT coalesce(usename::text, '?') || ' (' || coalesce(nullif(application_name, ''), 'unnamed') || ')'
FROM pg_stat_activity
WHERE datid = %s AND pid <> ALL(%s) AND usesysid IS NOT NULL AND backend_type IS DISTINCT FROM 'parallel worker'
ORDER BY 1
"""

# What may be new although every table is locked: objects that nobody locked, because they were not there, and those
# that cannot be locked. A row's xmin tells that it was written.
_FINGERPRINT = """
SELECT md5(string_agg(kind || ' ' || id || ' ' || version, ',' ORDER BY kind, id)) FROM (
    SELECT 'class' AS kind, oid::text AS id, xmin::text AS version FROM pg_class WHERE relpersistence <> 't'
        AND relkind NOT IN ('i', 'I', 't')
    UNION ALL SELECT 'proc', oid::text, xmin::text FROM pg_proc
    UNION ALL SELECT 'namespace', oid::text, xmin::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 'enum', oid::text, xmin::text FROM pg_enum
    UNION ALL SELECT 'extension', oid::text, xmin::text FROM pg_extension
    UNION ALL SELECT 'large object', oid::text, xmin::text || ' ' || md5(lo_get(oid))
        FROM pg_largeobject_metadata WHERE lomowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
) AS seen
"""


def lock_tables(connection: Connection, oid: int) -> None:
    """Begin a transaction that lets others read the role's tables and nobody write them.

    Sessions that stand in the way are ended; what they had not committed is rolled back. `oid` is the database's.
    Raises StepFailed, psycopg.Error.
    """
    for _ in range(_LOCK_ATTEMPTS):
        end_others(connection, oid)
        connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        try:
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            names = [sql.Identifier(str(schema), str(name)) for schema, name in connection.execute(_TABLES).fetchall()]
            if names:
                query = sql.SQL("LOCK TABLE ONLY {} IN EXCLUSIVE MODE")
                connection.execute(query.format(sql.SQL(", ONLY ").join(names)))
            connection.execute("SET LOCAL lock_timeout = 0")
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.UndefinedTable):
            connection.execute("ROLLBACK")
        else:
            return
    raise StepFailed(
        msg("the tables could not be locked: other sessions hold them again and again"),
        hint=msg("stop the application (see `hooks.before_restore`), then try again"),
    )


def end_others(connection: Connection, oid: int, spared: tuple[int, ...] = ()) -> None:
    """End every session of the database that this role may end, but this one and `spared`. Raises psycopg.Error."""
    connection.execute(_END_OTHERS, [oid, [connection.info.backend_pid, *spared]])


def close_door(connection: Connection, name: str, oid: int, spared: int) -> None:
    """Let nobody in any more, then end the sessions inside but `spared`; returns when they are gone.

    `connection` is to another database. Raises StepFailed when a session stays, psycopg.Error.
    """
    set_door(connection, name, open_to_all=False)
    until = time.monotonic() + _END_SECONDS
    while True:
        end_others(connection, oid, (spared,))
        left = connection.execute(_OTHERS, [oid, [spared, connection.info.backend_pid]]).fetchall()
        if not left:
            return
        if time.monotonic() >= until:
            raise StepFailed(
                msg("sessions do not end: {sessions}", sessions=", ".join(str(who) for (who,) in left)),
                hint=msg("end them yourself, or let a superuser do it, then try again"),
            )
        time.sleep(_POLL_SECONDS)


def set_door(connection: Connection, name: str, *, open_to_all: bool) -> None:
    """Durably open or close a database to new sessions. Raises psycopg.Error."""
    connection.execute(
        sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(
            sql.Identifier(name), sql.SQL("true" if open_to_all else "false")
        )
    )


def fingerprint(connection: Connection) -> str:
    """Changes whenever anybody commits something to the database that table locks do not hold off."""
    return str(connection.execute(_FINGERPRINT).fetchall()[0][0])


def number_of(connection: Connection, other: Connection) -> str:
    """The number of the transaction that is open in `connection`, which no later transaction will have.

    After a crash the server gives a number again if nothing on the disk knew it; so the transaction writes a message
    into the log, and a transaction of `other` flushes it. Raises psycopg.Error.
    """
    number = str(connection.execute("SELECT pg_current_xact_id()::text").fetchall()[0][0])
    for session in (connection, other):
        session.execute("SELECT pg_logical_emit_message(true, 'runner', 'a restore begins')")
    return number


def outcome_of(connection: Connection, number: str | None, oid: int | None) -> Side:
    """Which state the transaction left. One that still runs without its client is ended first.

    Raises StepFailed when it does not end, psycopg.Error.
    """
    if number is None:
        return Side.OLD
    until = time.monotonic() + _END_SECONDS
    while (status := _status(connection, number)) == "in progress":
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = %s AND backend_xid::text = %s",
            [oid, str(int(number) % 2**32)],
        )
        if time.monotonic() >= until:
            raise StepFailed(
                msg("the restore's own transaction {number} still runs on the server", number=number),
                hint=msg("end its session, or wait until it has ended, then try again"),
            )
        time.sleep(_POLL_SECONDS)
    return {"committed": Side.NEW, "aborted": Side.OLD}.get(status, Side.UNCLEAR)


def _status(connection: Connection, number: str) -> str:
    """`in progress`, `committed`, `aborted`; empty when the server has forgotten it, or never knew it."""
    try:
        return str(connection.execute("SELECT pg_xact_status(%s::xid8)", [number]).fetchall()[0][0] or "")
    except psycopg.errors.InvalidParameterValue:  # a number of the future: another server, or one set back
        return ""
