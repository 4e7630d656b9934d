"""Whether this server and these roles can take what an archive offers, asked without changing anything."""

import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from runner.databases.base import Preflight
from runner.databases.postgresql.asking import NAMED, Question, names, refusal, some, warning
from runner.databases.postgresql.blueprint import may_act_for
from runner.databases.postgresql.in_place_rules import major
from runner.databases.postgresql.maintenance import Connection
from runner.databases.postgresql.stage import not_creatable, reader_of, restoring_tools
from runner.errors import Interrupted, RunnerError
from runner.messages import msg
from runner.model.manifest import PostgresqlRecord

_LOCAL_HOSTS = {None, "", "localhost", "127.0.0.1", "::1"}

_NOT_AVAILABLE = """
SELECT w FROM unnest(%s::text[]) w WHERE w NOT IN (SELECT name::text FROM pg_available_extensions) ORDER BY 1
"""
_MISSING_ROLES = "SELECT w FROM unnest(%s::text[]) w WHERE w NOT IN (SELECT rolname::text FROM pg_roles) ORDER BY 1"
_MISSING_TABLESPACES = (
    "SELECT w FROM unnest(%s::text[]) w WHERE w NOT IN (SELECT spcname::text FROM pg_tablespace) ORDER BY 1"
)
# A setting of an extension or of nobody (`app.x`) is a superuser's to give to a database.
_BEYOND_SETTINGS = """
SELECT w FROM unnest(%s::text[]) w LEFT JOIN pg_settings s ON lower(s.name) = lower(w)
WHERE s.name IS NULL OR s.context IN ('superuser', 'superuser-backend') ORDER BY 1
"""
_GRANTED_SETTINGS = "SELECT w FROM unnest(%s::text[]) w WHERE has_parameter_privilege(%s, w, 'SET')"
_UNKNOWN_SETTINGS = """
SELECT w FROM unnest(%s::text[]) w
WHERE position('.' IN w) = 0 AND lower(w) NOT IN (SELECT lower(name) FROM pg_settings) ORDER BY 1
"""


def check(asked: Question, found: Preflight) -> None:
    """Add what speaks against the offer. Raises psycopg.Error."""
    _check_offer(asked, found)
    if asked.record is not None:
        _check_versions(asked, asked.record, found)
        _check_extensions(asked, asked.record, found)
        _check_encoding(asked, asked.record, found)
        _check_roles(asked, asked.record, found)
        _check_tablespaces(asked, asked.record, found)
    _check_settings(asked, found)
    _check_space(asked, found)


def _check_offer(asked: Question, found: Preflight) -> None:
    offer = asked.offer
    if offer.kind == "file" or (offer.record is not None and asked.record is None):
        found.errors.append(
            refusal(
                msg("the archive holds a SQLite database, and the profile's is PostgreSQL"),
                msg("restore it with a profile whose `database.engine` is `sqlite`"),
            )
        )
    if not offer.trusted and asked.loader.runs_programs:
        found.errors.append(
            refusal(
                msg(
                    "the dump was not made here, and as `{role}` it could run any program on the server",
                    role=asked.loader.role,
                ),
                msg("restore as an ordinary role; if you know where the archive comes from, add `--trust-sql`"),
            )
        )
    if asked.record is None:
        found.warnings.append(
            warning(
                "not-compared",
                msg("the archive does not say what it holds: nothing can be compared, and what belongs to roles "
                    "that do not exist here will belong to `{role}`", role=asked.loader.role),
                None,
            )
        )  # fmt: skip


def _check_versions(asked: Question, record: PostgresqlRecord, found: Preflight) -> None:
    if major(record.server_version) > asked.server:
        found.errors.append(
            refusal(
                msg("the backup is of PostgreSQL {source}, and this server is {server}, which is older",
                    source=record.server_version, server=asked.server),
                msg("restore it on a server of version {source} or newer", source=major(record.server_version)),
            )
        )  # fmt: skip
    if asked.offer.kind != "folder":
        return
    try:
        restoring_tools(asked.server, reader_of(major(record.client_version)), asked.config.tools_bin)
    except Interrupted:
        raise
    except RunnerError as error:
        found.errors += error.findings


def _check_extensions(asked: Question, record: PostgresqlRecord, found: Preflight) -> None:
    wanted = [extension.name for extension in record.extensions]
    if missing := names(asked.connection, _NOT_AVAILABLE, wanted):
        found.errors.append(
            refusal(
                msg("extensions are not installed on the server: {names}", names=some(missing)),
                msg("install their packages on the server (on Debian `postgresql-{server}-…`)", server=asked.server),
            )
        )
    if asked.loader.superuser:
        return
    beyond = sorted((not_creatable(asked.connection) & set(wanted)) - set(missing))
    if not beyond or (asked.actor.superuser and asked.offer.trusted):  # an administrator creates them beforehand
        return
    if asked.actor.superuser:
        hint = msg("if you know where the archive comes from, add `--trust-sql`: then `restore.admin` creates them")
    else:
        hint = msg("name a superuser in `restore.admin`: it creates them, and no more, before the dump is loaded")
    found.errors.append(refusal(msg("extensions that only a superuser may create: {names}", names=some(beyond)), hint))


def _check_encoding(asked: Question, record: PostgresqlRecord, found: Preflight) -> None:
    if asked.live is None:
        _check_locale(asked.connection, record, found)
        return
    there = asked.live.blueprint
    if there.encoding != record.encoding:
        about = msg("the backup is in {source}, the database in {live}", source=record.encoding, live=there.encoding)
        if record.encoding == "SQL_ASCII":
            found.errors.append(
                refusal(about, msg("nobody knows how to read its text; restore into a database in SQL_ASCII"))
            )
        else:
            found.warnings.append(
                warning("encoding", about, msg("the text is converted; the restore stops at a letter it cannot hold"))
            )
    if (there.collation, there.ctype) != (record.collation, record.ctype):
        about = msg("the backup sorts as {source}, the database as {live}", source=record.collation,
                    live=there.collation)  # fmt: skip
        found.warnings.append(warning("collation", about, msg("the database keeps its own order")))


def _check_locale(connection: Connection, record: PostgresqlRecord, found: Preflight) -> None:
    """Only the server knows its operating system's locales: let it try, and take it back."""
    provider = sql.SQL("icu" if record.locale_provider == "icu" else "libc")
    tries = [] if record.locale_provider == "builtin" else [("libc", record.collation, record.ctype)]
    if record.locale_provider == "icu" and record.icu_locale is not None:
        tries.append(("icu", record.icu_locale, record.icu_locale))
    for provider_name, collate, ctype in tries:
        provider = sql.SQL(provider_name)
        options = (
            sql.SQL("locale = {}").format(sql.Literal(collate))
            if provider_name == "icu"
            else sql.SQL("lc_collate = {}, lc_ctype = {}").format(sql.Literal(collate), sql.Literal(ctype))
        )
        statement = sql.SQL("CREATE COLLATION pg_temp.runner_tries (provider = {}, {})").format(provider, options)
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return  # it will be known when the database is created
        except psycopg.Error as error:
            words = str(error).partition("\n")[0]
            found.errors.append(
                refusal(
                    msg("this server cannot make a database that sorts as `{locale}`: {reason}", locale=collate,
                        reason=words),
                    msg("install the locale on the server, or create the empty database as it shall be beforehand"),
                )
            )  # fmt: skip


def _check_roles(asked: Question, record: PostgresqlRecord, found: Preflight) -> None:
    missing = names(asked.connection, _MISSING_ROLES, [role.name for role in record.roles])
    if missing:
        statements = "; ".join(role.create for role in record.roles if role.name in missing[:NAMED])
        found.warnings.append(
            warning(
                "roles",
                msg("roles of the backup do not exist here ({names}): what is theirs will belong to `{role}`, and "
                    "their privileges are left out", names=some(missing), role=asked.loader.role),
                msg("create them first if they are needed: {statements}", statements=statements),
            )
        )  # fmt: skip
    if not asked.loader.superuser:
        others = [
            role.name
            for role in record.roles
            if role.owns
            and role.name not in missing
            and not may_act_for(asked.connection, asked.loader.role, role.name)
        ]
        if others:
            found.warnings.append(
                warning(
                    "owners",
                    msg("whatever belongs to {names} in the backup will belong to `{role}`", names=some(others),
                        role=asked.loader.role),
                    None,
                )
            )  # fmt: skip


def _check_tablespaces(asked: Question, record: PostgresqlRecord, found: Preflight) -> None:
    wanted = list(record.properties.tablespaces)
    if asked.live is None:
        wanted.append(record.properties.tablespace)
    if missing := names(asked.connection, _MISSING_TABLESPACES, wanted):
        about = msg("tablespaces do not exist here: {names}", names=some(missing))
        if asked.offer.kind == "script":
            found.errors.append(refusal(about, msg("create them first; a script names them and cannot do without")))
        else:
            found.warnings.append(warning("tablespaces", about, msg("what was in any of them goes to the default one")))


def _check_settings(asked: Question, found: Preflight) -> None:
    """Settings of the database that cannot be carried over."""
    if asked.live is not None:
        settings = asked.live.blueprint.settings
    else:
        settings = () if asked.record is None else asked.record.properties.settings
    lost = sorted({each.setting.partition("=")[0] for each in settings if each.redacted})
    if lost:
        found.warnings.append(
            warning(
                "settings",
                msg("settings of the database are not in the archive, because they may be secret: {names}",
                    names=some(lost)),
                msg("set them again after the restore: ALTER DATABASE … SET …"),
            )
        )  # fmt: skip
    wanted = sorted({each.setting.partition("=")[0] for each in settings if not each.redacted})
    beyond = {*names(asked.connection, _UNKNOWN_SETTINGS, wanted)}
    role = asked.actor if asked.live is not None else asked.loader
    if not role.superuser:
        beyond |= {*names(asked.connection, _BEYOND_SETTINGS, wanted)}
        if asked.server >= 15:
            beyond -= {*names(asked.connection, _GRANTED_SETTINGS, wanted, role.role)}
        beyond |= {
            f"{each.setting.partition('=')[0]} of {each.role}"
            for each in settings
            if each.role not in (None, role.role)
        }
    if beyond:
        found.warnings.append(
            warning(
                "settings",
                msg("settings of the database that `{role}` may not carry over: {names}", role=asked.actor.role,
                    names=some(sorted(beyond))),
                msg("set them again after the restore, as superuser: ALTER DATABASE … SET …"),
            )
        )  # fmt: skip


def _check_space(asked: Question, found: Preflight) -> None:
    """Only where the server's data folder is on this machine and within sight."""
    need = asked.offer.unpacked_bytes if asked.record is None else asked.record.size
    host = asked.config.host
    if host not in _LOCAL_HOSTS and not str(host).startswith("/"):
        return
    try:
        folder = Path(str(asked.connection.execute("SHOW data_directory").fetchall()[0][0]))
        free = shutil.disk_usage(folder).free
    except (psycopg.errors.InsufficientPrivilege, OSError):
        return
    if free < need:
        found.errors.append(
            refusal(
                msg("the server's disk has {free} bytes left, and the staged database needs {need}", free=free,
                    need=need),
                msg("free space on it; the live database stays beside the new one until all is proven"),
                str(folder),
            )
        )  # fmt: skip
