"""What the manifest says of a PostgreSQL database, read from its catalogs inside the captured snapshot.

Source: the chapter "System Catalogs" of PostgreSQL's documentation, 14 to 18.
"""

import re
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from runner.model.manifest import (
    DjangoRecord,
    ExtensionRecord,
    MigrationRecord,
    PropertiesRecord,
    RoleRecord,
    SettingRecord,
)

Connection = psycopg.Connection[tuple[object, ...]]

_SECRET_SETTING = re.compile(
    r"secret|pass(word|wd|phrase)|pwd|token|private|credential|key|jwt|dsn|_url", re.IGNORECASE
)

_DATABASE = """
SELECT d.oid, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation, d.datctype AS ctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS icu_locale,
       pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit, t.spcname AS tablespace,
       d.datacl::text[] AS privileges, shobj_description(d.oid, 'pg_database') AS comment,
       pg_database_size(d.oid) AS size
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = current_database()
"""

_SETTINGS = """
SELECT r.rolname AS role, unnest(s.setconfig) AS setting
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1 NULLS FIRST, 2
"""

_EXTENSIONS = """
SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""

# Dependencies on the bootstrap superuser (oid 10) are not recorded in pg_shdepend, so its objects are looked for.
_ROLES = """
WITH here AS (SELECT oid, datdba FROM pg_database WHERE datname = current_database()),
named AS (
    SELECT d.refobjid AS oid, bool_or(d.deptype = 'o') AS owns
    FROM pg_shdepend d, here
    WHERE d.refclassid = 'pg_authid'::regclass
      AND (d.dbid = here.oid OR (d.classid = 'pg_database'::regclass AND d.objid = here.oid))
    GROUP BY 1
    UNION
    SELECT 10, true WHERE EXISTS (SELECT FROM pg_class WHERE relowner = 10 AND oid >= 16384)
                       OR EXISTS (SELECT FROM pg_proc WHERE proowner = 10 AND oid >= 16384)
    UNION
    SELECT datdba, true FROM here
)
SELECT r.rolname AS name, bool_or(n.owns) AS owns, quote_ident(r.rolname) AS quoted, r.rolsuper, r.rolinherit,
       r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit
FROM named n JOIN pg_roles r ON r.oid = n.oid
WHERE r.rolname !~ '^pg_'
GROUP BY r.rolname, 3, 4, 5, 6, 7, 8, 9, 10, 11
ORDER BY 1
"""

_TABLESPACES = """
SELECT DISTINCT t.spcname AS name FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE t.spcname !~ '^pg_' ORDER BY 1
"""

_TABLES = """
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
       c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                       AND d.deptype = 'e') AS ordinary
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f')
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its name as SQL needs it. `ordinary`: it holds rows of its own and belongs to no extension."""

    name: str
    ordinary: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is asked of the catalogs, once."""

    encoding: str
    collation: str
    ctype: str
    locale_provider: str
    icu_locale: str | None
    size: int
    properties: PropertiesRecord
    extensions: tuple[ExtensionRecord, ...]
    roles: tuple[RoleRecord, ...]
    tables: dict[int, Table]
    django: DjangoRecord | None


@dataclass(frozen=True, slots=True)
class _DatabaseRow:
    oid: int
    encoding: str
    collation: str
    ctype: str
    provider: str | None
    icu_locale: str | None
    owner: str
    connection_limit: int
    tablespace: str
    privileges: list[str] | None
    comment: str | None
    size: int


@dataclass(frozen=True, slots=True)
class _SettingRow:
    role: str | None
    setting: str


@dataclass(frozen=True, slots=True)
class _TableRow:
    oid: int
    name: str
    ordinary: bool


@dataclass(frozen=True, slots=True)
class _RoleRow:
    name: str
    owns: bool
    quoted: str
    rolsuper: bool
    rolinherit: bool
    rolcreaterole: bool
    rolcreatedb: bool
    rolcanlogin: bool
    rolreplication: bool
    rolbypassrls: bool
    rolconnlimit: int


_PROVIDERS = {None: "libc", "c": "libc", "i": "icu", "b": "builtin", "d": "libc"}


def read_facts(connection: Connection) -> Facts:
    """Run inside the captured snapshot. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(_DatabaseRow)) as databases:
        database = databases.execute(_DATABASE).fetchall()[0]
    with connection.cursor(row_factory=class_row(_SettingRow)) as setting_rows:
        settings = tuple(_setting(row) for row in setting_rows.execute(_SETTINGS))
    with connection.cursor(row_factory=class_row(ExtensionRecord)) as extension_rows:
        extensions = tuple(extension_rows.execute(_EXTENSIONS))
    with connection.cursor(row_factory=class_row(_RoleRow)) as role_rows:
        roles = tuple(
            RoleRecord(name=row.name, owns=row.owns, create=_create_role(row)) for row in role_rows.execute(_ROLES)
        )
    with connection.cursor(row_factory=class_row(_TableRow)) as table_rows:
        tables = {row.oid: Table(row.name, row.ordinary) for row in table_rows.execute(_TABLES)}
    tablespaces = tuple(str(name) for (name,) in connection.execute(_TABLESPACES))
    properties = PropertiesRecord(
        owner=database.owner,
        privileges=tuple(database.privileges or ()),
        comment=database.comment,
        settings=settings,
        connection_limit=database.connection_limit,
        tablespace=database.tablespace,
        tablespaces=tablespaces,
    )
    return Facts(
        encoding=database.encoding,
        collation=database.collation,
        ctype=database.ctype,
        locale_provider=_PROVIDERS.get(database.provider, "libc"),
        icu_locale=database.icu_locale,
        size=database.size,
        properties=properties,
        extensions=extensions,
        roles=roles,
        tables=tables,
        django=_read_django(connection),
    )


# In UTF-8; as they are where the database knows no encoding and holds whatever it was given.
_BYTES = sql.SQL(
    "convert_to({column}::text, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)"
)


def column_values(schema_table: str, column: str) -> sql.Composed:
    """Every distinct non-empty value of a column, as bytes."""
    name = sql.Identifier(column)
    return sql.SQL("SELECT DISTINCT {bytes} FROM {table} WHERE {column} IS NOT NULL AND {column}::text <> ''").format(
        bytes=_BYTES.format(column=name), table=_table(schema_table), column=name
    )


def values_present(schema_table: str, column: str) -> sql.Composed:
    """Which of the given values (as bytes) a column holds."""
    return sql.SQL("SELECT DISTINCT {bytes} FROM {table} WHERE {bytes} = ANY(%s)").format(
        bytes=_BYTES.format(column=sql.Identifier(column)), table=_table(schema_table)
    )


def _table(schema_table: str) -> sql.Identifier:
    return sql.Identifier(*schema_table.split(".", 1))


def _setting(row: _SettingRow) -> SettingRecord:
    """A setting whose name says that it holds a secret is recorded by its name alone."""
    name, _, _ = row.setting.partition("=")
    if _SECRET_SETTING.search(name):
        return SettingRecord(role=row.role, setting=f"{name}=", redacted=True)
    return SettingRecord(role=row.role, setting=row.setting)


def _create_role(row: _RoleRow) -> str:
    options = (
        ("LOGIN", row.rolcanlogin),
        ("SUPERUSER", row.rolsuper),
        ("CREATEDB", row.rolcreatedb),
        ("CREATEROLE", row.rolcreaterole),
        ("REPLICATION", row.rolreplication),
        ("BYPASSRLS", row.rolbypassrls),
        ("NOINHERIT", not row.rolinherit),
        (f"CONNECTION LIMIT {row.rolconnlimit}", row.rolconnlimit >= 0),
    )
    return " ".join((f"CREATE ROLE {row.quoted}", *(option for option, holds in options if holds)))


def _read_django(connection: Connection) -> DjangoRecord | None:
    """Applied migrations, where the table that Django keeps them in is visible and has its shape."""
    found = connection.execute(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('django_migrations')"
        " AND attname IN ('app', 'name') AND attnum > 0 AND NOT attisdropped"
        " AND has_table_privilege(attrelid, 'SELECT')"
    ).fetchall()
    if found[0][0] != 2:
        return None
    rows = connection.execute("SELECT app::text, name::text FROM django_migrations ORDER BY 1, 2").fetchall()
    return DjangoRecord(migrations=tuple(MigrationRecord(app=str(app), name=str(name)) for app, name in rows))
