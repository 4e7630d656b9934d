"""Databases as a whole: which is which, closed, exchanged by name, and dropped. Identity is the oid, never the name.

Source: PostgreSQL's pages of ALTER DATABASE, DROP DATABASE and ALTER SUBSCRIPTION, 14 to 18. RENAME waits for the lock
that every new session takes while it starts, and keeps it up to the commit: from then on nobody slips in.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from runner.databases.postgresql.connection import connect, describe, password_of
from runner.databases.postgresql.maintenance import Connection
from runner.errors import StepFailed
from runner.messages import msg
from runner.model.marks import PostgresqlMarks, Side
from runner.model.profile import PostgresqlConfig

END_SECONDS = 30.0

# Whom this role may end; the server's own rule (pg_signal_backend in signalfuncs.c). No user: a process of the server.
MAY_END = """
((SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
 OR (NOT coalesce((SELECT rolsuper FROM pg_roles r WHERE r.oid = a.usesysid), false)
     AND (pg_has_role(current_user, a.usesysid, 'USAGE') OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))))
"""
_END = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
WHERE a.datid = %s AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND {MAY_END}
"""  # noqa: S608 - a constant of ours
_INSIDE = """
SELECT a.usename || ' (' || coalesce(nullif(a.application_name, ''), 'unnamed') || ')' FROM pg_stat_activity a
WHERE a.datid = %s AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
UNION ALL
SELECT 'prepared transaction ' || p.gid FROM pg_prepared_xacts p JOIN pg_database d ON d.datname = p.database
WHERE d.oid = %s
"""


@dataclass(frozen=True, slots=True)
class Move:
    """One database gets another name."""

    oid: int
    name: str
    new_name: str


def oid_of(connection: Connection, name: str) -> int | None:
    """Raises psycopg.Error."""
    rows = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", [name]).fetchall()
    return int(str(rows[0][0])) if rows else None


def name_of(connection: Connection, oid: int | None) -> str | None:
    """Raises psycopg.Error."""
    rows = connection.execute("SELECT datname::text FROM pg_database WHERE oid = %s", [oid]).fetchall()
    return str(rows[0][0]) if rows else None


def side_of(connection: Connection, marks: PostgresqlMarks) -> Side:
    """Which database bears the live name. Raises psycopg.Error."""
    current = oid_of(connection, marks.name)
    if current is not None and current == marks.staged_oid:
        return Side.NEW
    # Where none was before, none is the old state too.
    return Side.OLD if current == marks.live_oid else Side.UNCLEAR


def set_open(connection: Connection, name: str, *, is_open: bool) -> None:
    """Let sessions into the database, or no new ones. Raises psycopg.Error."""
    statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Literal(is_open)))


def is_open(connection: Connection, name: str) -> bool:
    """Raises psycopg.Error."""
    return bool(connection.execute("SELECT FROM pg_database WHERE datname = %s AND datallowconn", [name]).fetchall())


def exchange(connection: Connection, moves: Sequence[Move], also: Sequence[sql.Composed] = ()) -> None:
    """Close the databases, end who is inside, and rename them, in one transaction: all of it or nothing.

    `also` are statements of the same transaction, run while the old names stand. They stay closed. The sessions that
    were ended are ended in either case. Raises StepFailed when a database is another one by now, or when somebody
    inside does not go; psycopg.Error.
    """
    until = time.monotonic() + END_SECONDS
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        connection.execute(f"SET LOCAL lock_timeout = '{END_SECONDS:.0f}s'")
        for move in moves:
            set_open(connection, move.name, is_open=False)
            # From here on the row is ours: nobody else can rename or drop it before we are done.
            if oid_of(connection, move.name) != move.oid:
                raise StepFailed(
                    msg("the database `{name}` is another one than it was when this restore began", name=move.name),
                    hint=msg("find out who replaced it, then start the restore again"),
                )
        for statement in also:
            connection.execute(statement)
        for move in moves:
            _rename(connection, move, until)


def _rename(connection: Connection, move: Move, until: float) -> None:
    """New sessions slip in until RENAME has its lock, so this ends them again and again for a while."""
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
        sql.Identifier(move.name), sql.Identifier(move.new_name)
    )
    while True:
        connection.execute(_END, [move.oid])
        try:
            with connection.transaction():
                connection.execute(statement)
        except psycopg.errors.ObjectInUse:
            connection.execute("SELECT pg_stat_clear_snapshot()")
            if time.monotonic() >= until:
                inside = connection.execute(_INSIDE, [move.oid, move.oid]).fetchall()
                raise StepFailed(
                    msg(
                        "the database `{name}` is still in use by {sessions}",
                        name=move.name,
                        sessions=", ".join(str(who) for (who,) in inside) or msg("somebody who has just left"),
                    ),
                    hint=msg("end these sessions or transactions, or stop the application, then try again"),
                ) from None
        else:
            return


def drop(connection: Connection, config: PostgresqlConfig, oid: int) -> None:
    """Drop the database of that oid, whoever is connected; nothing happens where it is gone.

    `config` is for a session in it, by a role that may do this. Its subscriptions are let go first, and their slots on
    the publisher stay: another database may be using them. Raises StepFailed, ServerUnavailable, psycopg.Error.
    """
    name = name_of(connection, oid)
    if name is None:
        return
    identifier = sql.Identifier(name)
    # A DROP that a crash interrupted leaves a database that can only be dropped again (its limit is -2).
    intact = connection.execute(
        "SELECT datistemplate FROM pg_database WHERE oid = %s AND datconnlimit <> -2", [oid]
    ).fetchall()
    if intact:
        subscriptions = connection.execute(
            "SELECT subname::text FROM pg_subscription WHERE subdbid = %s", [oid]
        ).fetchall()
        if subscriptions:
            _end_subscriptions(connection, replace(config, name=name), [str(found) for (found,) in subscriptions])
        if intact[0][0]:
            connection.execute(sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE false").format(identifier))
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))


def _end_subscriptions(connection: Connection, config: PostgresqlConfig, names: Sequence[str]) -> None:
    set_open(connection, config.name, is_open=True)
    with connect(config, password_of(config)) as inside:
        for name in names:
            subscription = sql.SQL("SUBSCRIPTION {}").format(sql.Identifier(name))
            try:
                inside.execute(sql.SQL("ALTER {} DISABLE").format(subscription))
                inside.execute(sql.SQL("ALTER {} SET (slot_name = NONE)").format(subscription))
                inside.execute(sql.SQL("DROP {}").format(subscription))
            except psycopg.errors.InsufficientPrivilege:
                raise StepFailed(
                    msg(
                        "the database `{name}` cannot be dropped: it holds the subscription `{subscription}`",
                        name=config.name,
                        subscription=name,
                    ),
                    where=describe(config),
                    hint=msg("as superuser: ALTER SUBSCRIPTION … DISABLE, SET (slot_name = NONE), DROP SUBSCRIPTION"),
                ) from None
