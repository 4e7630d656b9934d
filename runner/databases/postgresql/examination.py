"""What can be found out about a PostgreSQL server, and what its roles may do, by trying it and taking it back."""

import os
import secrets
from datetime import datetime
from typing import cast

from psycopg import sql

from runner.databases.examination import Seen
from runner.databases.postgresql.connection import connect, describe, environment, mapped_errors, password_of
from runner.databases.postgresql.maintenance import acting_as, connect_unlimited, read_rights
from runner.databases.postgresql.tools import find_tools
from runner.errors import StepFailed, ToolFailed
from runner.messages import msg
from runner.model.profile import AdminConfig, PostgresqlConfig
from runner.process import run

_CAN_FORCE = 130000


def look(config: PostgresqlConfig) -> Seen:
    """Connect, and find the programs that fit the server.

    Raises ServerUnavailable, ToolMissing, Refused (too old), ConfigurationInvalid (no password).
    """
    with mapped_errors(config), connect(config, password_of(config)) as connection:
        version = connection.info.parameter_status("server_version") or "?"
        query = "SELECT clock_timestamp(), pg_database_size(current_database()), current_user::text"
        clock, size, role = connection.execute(query).fetchall()[0]
        tools = find_tools(connection.info.server_version // 10_000, config.tools_bin)
    facts = (
        msg(
            "PostgreSQL {version} answers for {database}, {size} MiB, as `{role}`",
            version=version.partition(" ")[0],
            database=describe(config),
            size=cast("int", size) >> 20,
            role=role,
        ),
        msg("{version} in {folder} fits it", version=tools.version.replace("(", "").replace(")", ""), folder=tools.bin),
    )
    return Seen(describe(config), facts, cast("datetime", clock))


def try_backup(config: PostgresqlConfig) -> None:
    """Let pg_dump lock every table and read the schema: it fails as a backup would. Raises StepFailed."""
    password = password_of(config)
    with mapped_errors(config), connect(config, password) as connection:
        tools = find_tools(connection.info.server_version // 10_000, config.tools_bin)
    arguments = [tools.path("pg_dump"), "--no-password", "--schema-only", "--file", os.devnull]
    try:
        run(arguments, environment(config, password))
    except ToolFailed as error:
        hint = msg("connect as the owner of the database, or grant the role `pg_read_all_data`")
        raise StepFailed(error.message, where=describe(config), hint=hint) from None


def try_creating(config: PostgresqlConfig, admin: AdminConfig | None) -> None:
    """Make a database and drop it, as a restore does, where the role or the administrator may. Raises StepFailed."""
    actors = [acting_as(config, None), *([] if admin is None else [acting_as(config, admin)])]
    for actor in actors:
        with mapped_errors(actor), connect_unlimited(actor) as connection:
            rights = read_rights(connection)
            if not (rights.superuser or rights.createdb):
                continue  # then a restore works in place, or by the administrator
            name = sql.Identifier(f"runner_doctor_{secrets.token_hex(4)}")
            force = sql.SQL(" WITH (FORCE)" if connection.info.server_version >= _CAN_FORCE else "")
            try:
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
            finally:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name) + force)
            return
