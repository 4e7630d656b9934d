"""Connections to PostgreSQL, for psycopg and for PostgreSQL's own programs, and the mapping of their errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from runner.errors import ServerUnavailable, SourceMissing, StepFailed
from runner.messages import msg
from runner.model.profile import PostgresqlConfig
from runner.model.secret import Secret
from runner.process import Environment
from runner.secrets import resolve

_CONNECT_SECONDS = 15
APPLICATION_NAME = "runner"


def connect(config: PostgresqlConfig, password: Secret | None) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection in autocommit mode. Raises ServerUnavailable."""
    with mapped_errors(config):
        connection = psycopg.connect(
            autocommit=True,
            dbname=config.name,
            host=config.host,
            port=config.port,
            user=config.user,
            password=None if password is None else password.reveal(),
            sslmode=config.sslmode,
            sslrootcert=None if config.sslrootcert is None else str(config.sslrootcert),
            connect_timeout=_CONNECT_SECONDS,
            application_name=APPLICATION_NAME,
            client_encoding="UTF8",
        )
        # Row security must fail a query, as it does in pg_dump, and never leave out rows in silence.
        connection.execute("SET row_security = off")
        return connection


def password_of(config: PostgresqlConfig) -> Secret | None:
    """The password, resolved now; None leaves it to `.pgpass`, peer authentication and the like."""
    return None if config.password is None else resolve(config.password)


def environment(config: PostgresqlConfig, password: Secret | None) -> Environment:
    """What PostgreSQL's own programs need to connect, none of it in their argument lists."""
    values: dict[str, str | Secret | None] = {
        "PGHOST": config.host,
        "PGPORT": None if config.port is None else str(config.port),
        "PGUSER": config.user,
        "PGDATABASE": config.name,
        "PGPASSWORD": password,
        "PGSSLMODE": config.sslmode,
        "PGSSLROOTCERT": None if config.sslrootcert is None else str(config.sslrootcert),
        "PGAPPNAME": APPLICATION_NAME,
        "PGCONNECT_TIMEOUT": str(_CONNECT_SECONDS),
    }
    return {name: value for name, value in values.items() if value is not None}


def describe(config: PostgresqlConfig) -> str:
    """The database for messages: `school_db on localhost:5432`."""
    if config.host is None:
        return config.name
    return f"{config.name} on {config.host}{'' if config.port is None else f':{config.port}'}"


@contextmanager
def mapped_errors(config: PostgresqlConfig) -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise SourceMissing(
            msg("the database has no such table or column: {reason}", reason=_first_line(error)),
            where=describe(config),
            hint=msg("check `media.references` in the profile"),
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise StepFailed(
            msg("the role may not read what the backup needs: {reason}", reason=_first_line(error)),
            where=describe(config),
            hint=msg("connect as the owner of the database, or grant the role `pg_read_all_data`"),
        ) from None
    except psycopg.OperationalError as error:
        raise ServerUnavailable(
            msg("the PostgreSQL server cannot be used: {reason}", reason=str(error).strip()),
            where=describe(config),
            hint=msg(
                "check that the server runs, and host, port, user and password in the profile: in `database`, and in "
                "`restore.admin` where that is set"
            ),
        ) from None
    except psycopg.Error as error:
        raise StepFailed(
            msg("PostgreSQL refused: {reason}", reason=_first_line(error)),
            where=describe(config),
            hint=msg("see the server's log; what it refused is what the backup reads, not what it writes"),
        ) from None


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]


# What the server says when it is going or not yet there; every other refusal has a live server behind it.
_SERVER_GONE = ("08", "57P")


@contextmanager
def restore_errors(config: PostgresqlConfig) -> Iterator[None]:
    """Turn psycopg's errors during a restore into ours: a server that is gone is told from one that refuses."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
            not state or state.startswith(_SERVER_GONE)
        ):
            raise ServerUnavailable(
                msg("the PostgreSQL server cannot be used: {reason}", reason=_first_line(error)),
                where=describe(config),
                hint=msg("check that the server runs and that the profile's `database` can reach it, then try again"),
            ) from None
        raise StepFailed(
            msg("PostgreSQL refused: {reason}", reason=_first_line(error)),
            where=describe(config),
            hint=msg("see the server's log for the statement that it refused"),
        ) from None
