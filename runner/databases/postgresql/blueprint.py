"""What a database is as a whole: how it is created, and what hangs on it that no dump of its content holds.

Source: PostgreSQL's pages of CREATE DATABASE, ALTER DATABASE and GRANT, and of pg_database, 14 to 18.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from runner.databases.postgresql.maintenance import Connection
from runner.model.manifest import PostgresqlRecord, SettingRecord

# Settings whose value is a list of quoted names; pg_dump knows the same ones (variable_is_guc_list_quote).
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_LIST_ITEM = re.compile(r'"((?:[^"]|"")*)"|([^,\s"]+)')
_ACL = re.compile(r'^(?:"((?:[^"]|"")*)"|([^="]*))=([A-Za-z*]*)/')
_ACL_LETTERS = {"C": "CREATE", "T": "TEMPORARY", "c": "CONNECT"}

_DATABASE = """
SELECT d.oid, d.datname::text AS name, pg_get_userbyid(d.datdba)::text AS owner,
       pg_encoding_to_char(d.encoding)::text AS encoding,
       d.datcollate::text AS collation, d.datctype::text AS ctype, to_jsonb(d) ->> 'datlocprovider' AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       to_jsonb(d) ->> 'daticurules' AS icu_rules, nullif(t.spcname, 'pg_default')::text AS tablespace,
       d.datconnlimit AS connection_limit, d.datistemplate AS is_template, d.datallowconn AS is_open,
       d.datacl::text[] AS privileges, shobj_description(d.oid, 'pg_database') AS comment
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = %s
"""

_SETTINGS = """
SELECT r.rolname::text AS role, unnest(s.setconfig) AS setting
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = %s
"""

_PROVIDERS = {"i": "icu", "b": "builtin"}
_LOCALE_OPTIONS: dict[str, tuple[LiteralString, LiteralString]] = {
    "icu": ("icu", "ICU_LOCALE"),
    "builtin": ("builtin", "BUILTIN_LOCALE"),
}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """How to make a database. What is None is left to the server.

    `tablespace` None is template0's own, which needs no right; an ordinary role may not even name it.
    """

    owner: str
    encoding: str | None = None
    collation: str | None = None
    ctype: str | None = None
    provider: str = "libc"
    locale: str | None = None
    icu_rules: str | None = None
    tablespace: str | None = None
    connection_limit: int = -1
    privileges: tuple[str, ...] = ()
    comment: str | None = None
    settings: tuple[SettingRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Existing:
    """A database on the server."""

    oid: int
    name: str
    is_template: bool
    is_open: bool
    blueprint: Blueprint


@dataclass(frozen=True, slots=True)
class _Row:
    oid: int
    name: str
    owner: str
    encoding: str
    collation: str
    ctype: str
    provider: str | None
    locale: str | None
    icu_rules: str | None
    tablespace: str | None
    connection_limit: int
    is_template: bool
    is_open: bool
    privileges: list[str] | None
    comment: str | None


def read_database(connection: Connection, name: str) -> Existing | None:
    """The database of that name, None when there is none. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(_Row)) as cursor:
        row = cursor.execute(_DATABASE, [name]).fetchone()
    if row is None:
        return None
    settings = tuple(
        SettingRecord(role=None if role is None else str(role), setting=str(setting))
        for role, setting in connection.execute(_SETTINGS, [row.oid])
    )
    blueprint = Blueprint(
        owner=row.owner,
        encoding=row.encoding,
        collation=row.collation,
        ctype=row.ctype,
        provider=_PROVIDERS.get(row.provider or "", "libc"),
        locale=row.locale,
        icu_rules=row.icu_rules,
        tablespace=row.tablespace,
        connection_limit=row.connection_limit,
        privileges=tuple(row.privileges or ()),
        comment=row.comment,
        settings=settings,
    )
    return Existing(row.oid, row.name, row.is_template, row.is_open, blueprint)


def from_record(connection: Connection, record: PostgresqlRecord | None, role: str) -> Blueprint:
    """How to make a database that this server does not have: as it was, but for what is missing here.

    `role` owns it where the recorded owner does not exist or `role` may not act for it. Raises psycopg.Error.
    """
    if record is None:
        return Blueprint(owner=role)
    recorded = record.properties
    blueprint = Blueprint(
        owner=role,
        encoding=record.encoding,
        collation=record.collation,
        ctype=record.ctype,
        provider=record.locale_provider,
        locale=record.icu_locale,
        connection_limit=recorded.connection_limit,
        privileges=recorded.privileges,
        comment=recorded.comment,
        settings=tuple(setting for setting in recorded.settings if not setting.redacted),
    )
    if may_act_for(connection, role, recorded.owner):
        blueprint = replace(blueprint, owner=recorded.owner)
    known = "SELECT FROM pg_tablespace WHERE spcname = %s AND spcname <> 'pg_default'"
    if connection.execute(known, [recorded.tablespace]).fetchall():
        blueprint = replace(blueprint, tablespace=recorded.tablespace)
    return blueprint


def may_act_for(connection: Connection, role: str, owner: str) -> bool:
    """Whether both roles exist and `role` has the rights of `owner`. Raises psycopg.Error."""
    rows = connection.execute(
        "SELECT pg_has_role(r.oid, o.oid, 'USAGE') FROM pg_roles r, pg_roles o WHERE r.rolname = %s AND o.rolname = %s",
        [role, owner],
    ).fetchall()
    return bool(rows and rows[0][0])


def creation(name: str, blueprint: Blueprint, server_major: int) -> sql.Composed:
    """CREATE DATABASE, from template0: nothing that an administrator put into template1 gets in the way of a dump."""
    clauses: list[tuple[LiteralString, sql.Composable]] = [
        ("OWNER", sql.Identifier(blueprint.owner)),
        ("TEMPLATE", sql.Identifier("template0")),
    ]
    described: tuple[tuple[LiteralString, str | None], ...] = (
        ("ENCODING", blueprint.encoding),
        ("LC_COLLATE", blueprint.collation),
        ("LC_CTYPE", blueprint.ctype),
    )
    clauses += [(keyword, sql.Literal(value)) for keyword, value in described if value is not None]
    if server_major >= 15 and blueprint.encoding is not None:
        provider = _LOCALE_OPTIONS.get(blueprint.provider)
        clauses.append(("LOCALE_PROVIDER", sql.SQL("libc") if provider is None else sql.SQL(provider[0])))
        if provider is not None and blueprint.locale is not None:
            clauses.append((provider[1], sql.Literal(blueprint.locale)))
        if blueprint.icu_rules is not None:
            clauses.append(("ICU_RULES", sql.Literal(blueprint.icu_rules)))
    if blueprint.tablespace is not None:
        clauses.append(("TABLESPACE", sql.Identifier(blueprint.tablespace)))
    options = sql.SQL(" ").join(sql.SQL("{} {}").format(sql.SQL(keyword), value) for keyword, value in clauses)
    return sql.SQL("CREATE DATABASE {} WITH {}").format(sql.Identifier(name), options)


def apply_properties(connection: Connection, name: str, blueprint: Blueprint) -> None:
    """Give the database its settings, privileges and comment.

    The session's role is the limit of what a forged manifest can do here. What names a role that does not exist, or
    needs more rights than the session's, is left out: the preflight has said so. Raises psycopg.Error.
    """
    with connection.transaction():
        for setting in blueprint.settings:
            _if_allowed(connection, _setting(name, setting))
        for statement in _privileges(name, blueprint):
            _if_allowed(connection, statement)
        if blueprint.comment is not None:
            comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
            connection.execute(comment.format(sql.Identifier(name), sql.Literal(blueprint.comment)))


def _if_allowed(connection: Connection, statement: sql.Composed) -> None:
    try:
        with connection.transaction():
            connection.execute(statement)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject):
        pass


def _setting(database: str, record: SettingRecord) -> sql.Composed:
    name, _, value = record.setting.partition("=")
    if name in _LISTS:
        items = [match[2] or match[1].replace('""', '"') for match in _LIST_ITEM.finditer(value)] or [""]
        values = sql.SQL(", ").join(sql.Literal(item) for item in items)
    else:
        values = sql.SQL("{}").format(sql.Literal(value))
    target = sql.SQL("DATABASE {}").format(sql.Identifier(database))
    if record.role is not None:
        target = sql.SQL("ROLE {} IN {}").format(sql.Identifier(record.role), target)
    return sql.SQL("ALTER {} SET {} TO {}").format(target, sql.Identifier(name), values)


def _privileges(database: str, blueprint: Blueprint) -> Iterator[sql.Composed]:
    """Explicit privileges replace the built-in ones. Each is granted by the owner, whoever granted it before."""
    if not blueprint.privileges:
        return
    name = sql.Identifier(database)
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name)
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, sql.Identifier(blueprint.owner))
    for item in blueprint.privileges:
        match = _ACL.match(item)
        if match is None:
            continue
        role = match[2] if match[1] is None else match[1].replace('""', '"')
        grantee = sql.Identifier(role) if role else sql.SQL("PUBLIC")
        for letter, option in re.findall(r"([A-Za-z])(\*?)", match[3]):
            if letter in _ACL_LETTERS:
                grant = sql.SQL("GRANT {} ON DATABASE {} TO {}" + (" WITH GRANT OPTION" if option else ""))
                yield grant.format(sql.SQL(_ACL_LETTERS[letter]), name, grantee)
