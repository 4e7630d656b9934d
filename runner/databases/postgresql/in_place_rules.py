"""What a role without CREATEDB can replace in place, and what has to be refused before anything is touched."""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress

import psycopg
from psycopg import sql

from runner.databases.base import LiveDatabase, Preflight
from runner.databases.postgresql.compare import parse_name
from runner.databases.postgresql.maintenance import Connection
from runner.databases.postgresql.script import Statement
from runner.errors import Finding, Refused
from runner.messages import Message, msg
from runner.model.manifest import PostgresqlRecord

_OWNER = re.compile(rb'OWNER\s+TO\s+(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s*\Z', re.IGNORECASE)
_PUBLIC = re.compile(rb'CREATE\s+SCHEMA\s+(?:"public"|public)\s*\Z', re.IGNORECASE)
_PRIVILEGED = re.compile(
    r"^\d+; \d+ \d+ (EVENT TRIGGER|SUBSCRIPTION|FOREIGN DATA WRAPPER|ACCESS METHOD) ", re.MULTILINE
)
_DATA_FILE = re.compile(r"/(\d+)\.dat(?:\.gz)?$")
_NAMED = 5
_ADMIN = msg("name a role that may create databases in `restore.admin`")

# Objects of the roles that come with the server are in no pg_shdepend; whatever comes with it is below 16384.
_OF_OTHERS = """
WITH me AS (SELECT oid FROM pg_roles WHERE rolname = current_user),
found AS (
    SELECT d.classid, d.objid, d.objsubid FROM pg_shdepend d, me
    WHERE d.deptype = 'o' AND d.refclassid = 'pg_authid'::regclass AND d.refobjid <> me.oid
      AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION
    SELECT o.classid, o.objid, 0 FROM (
        SELECT 'pg_class'::regclass::oid AS classid, oid AS objid, relowner AS owner FROM pg_class
            WHERE relnamespace <> 'pg_toast'::regnamespace AND relkind NOT IN ('i', 'I')
        UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
        UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace
            WHERE nspname !~ '^pg_(toast_)?temp_' AND nspname <> 'public'
        UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type WHERE typrelid = 0 AND typelem = 0
        UNION ALL SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator
        UNION ALL SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication
        UNION ALL SELECT 'pg_event_trigger'::regclass, oid, evtowner FROM pg_event_trigger
        UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwowner FROM pg_foreign_data_wrapper
        UNION ALL SELECT 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
        UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
    ) AS o, me
    WHERE o.owner < 16384 AND o.owner <> me.oid AND (o.objid >= 16384 OR o.classid = 'pg_largeobject'::regclass)
)
SELECT pg_describe_object(f.classid, f.objid, f.objsubid) FROM found f
WHERE f.classid <> 'pg_extension'::regclass AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = f.classid AND d.objid = f.objid AND (
        d.deptype = 'e'
        OR (d.deptype IN ('i', 'a') AND EXISTS (
            SELECT FROM pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'))))
ORDER BY 1
"""

_ROLES_OF_SESSIONS = """
SELECT DISTINCT a.usename::text FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %s
  AND (r.rolsuper OR NOT (pg_has_role(current_user, r.oid, 'MEMBER')
                          OR pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')))
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
ORDER BY 1
"""

# An extension of another role stays where it is, unless its schema is dropped under it.
_MISSING_EXTENSIONS = """
SELECT wanted.name FROM unnest(%s::text[]) AS wanted(name),
     (SELECT oid FROM pg_roles WHERE rolname = current_user) AS me
WHERE NOT EXISTS (
        SELECT FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = wanted.name AND me.oid NOT IN (e.extowner, n.nspowner))
  AND NOT EXISTS (
        SELECT FROM pg_available_extension_versions v
        WHERE v.name = wanted.name AND (v.trusted OR NOT v.superuser
              OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)))
ORDER BY 1
"""

_LOST_EXTENSIONS = """
SELECT e.extname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
JOIN pg_roles me ON me.rolname = current_user
WHERE n.nspowner = me.oid AND e.extowner <> me.oid ORDER BY 1
"""

# Dropping locks every object, creating every relation.
_LOCKS = """
SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384),
       (SELECT count(*) FROM pg_class WHERE oid >= 16384) + (SELECT count(*) FROM pg_type WHERE oid >= 16384)
       + (SELECT count(*) FROM pg_proc WHERE oid >= 16384) + (SELECT count(*) FROM pg_constraint WHERE oid >= 16384)
       + (SELECT count(*) FROM pg_trigger WHERE oid >= 16384) + (SELECT count(*) FROM pg_attrdef WHERE oid >= 16384)
       + (SELECT count(*) FROM pg_rewrite WHERE oid >= 16384) + (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relkind = 'r'),
       current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
"""


def exists(connection: Connection, name: str) -> bool:
    return oid_of(connection, name) is not None


def oid_of(connection: Connection, name: str) -> int | None:
    rows = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [name]).fetchall()
    return int(str(rows[0][0])) if rows else None


def major(version: str) -> int:
    """The major version in `15.6 (Debian …)`; 0 when there is none."""
    digits = re.match(r"\d+", version)
    return int(digits[0]) if digits else 0


def sessions(connection: Connection, name: str) -> tuple[str, ...]:
    """Who is connected to the database, this run left out."""
    rows = connection.execute(
        "SELECT DISTINCT coalesce(usename::text, '?') || coalesce(' from ' || host(client_addr), '')"
        " || coalesce(' (' || nullif(application_name, '') || ')', '')"
        " FROM pg_stat_activity WHERE datname = %s AND usesysid IS NOT NULL AND pid <> pg_backend_pid()"
        " ORDER BY 1",
        [name],
    ).fetchall()
    return tuple(str(who) for (who,) in rows)


# The server's statistics count what is written, until a crash or a reset takes them away; then there is what ANALYZE or
# VACUUM left in the catalog. A table that has pages on the disk and none in the catalog was never counted by either.
_LIVE = """
WITH found AS (
    SELECT coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)) AS rows,
           c.relpages = 0 AND pg_relation_size(c.oid) > 0 AS unseen
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
SELECT pg_database_size(current_database()), count(*),
       CASE WHEN bool_or(unseen AND rows = 0) THEN NULL ELSE coalesce(sum(rows), 0)::bigint END
FROM found
"""


def look(live: Connection, connected: tuple[str, ...], tables: Collection[str] = ()) -> LiveDatabase:
    """Size and tables; the rows are the server's estimate, but those of `tables` are counted."""
    ((size, number, rows),) = live.execute(_LIVE).fetchall()
    return LiveDatabase(
        exists=True,
        size_bytes=int(str(size)),
        tables=int(str(number)),
        rows=None if rows is None else int(str(rows)),
        sessions=connected,
        counted=dict(_counted(live, tables)),
    )


def _counted(live: Connection, tables: Collection[str]) -> Iterator[tuple[str, int]]:
    for table in tables:
        name = parse_name(table)
        if name is None:
            continue
        query = sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(sql.Identifier(*name))
        with suppress(psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            yield table, int(str(live.execute(query).fetchall()[0][0]))


def no_database(label: str) -> Finding:
    return _refusal(
        msg("the database does not exist, and this role may not create it"),
        msg("let an administrator create it for this role, or name a role that may in `restore.admin`"),
        label,
    )


def no_such_way(label: str) -> Finding:
    return _refusal(
        msg("a role that may not create databases cannot bring back one that stayed on the server under another name"),
        _ADMIN,
        label,
    )


def check_server(session: Connection, name: str, record: PostgresqlRecord | None, found: Preflight) -> None:
    """What the maintenance database can tell. Raises psycopg.Error."""
    owner = session.execute(
        "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = %s", [name]
    ).fetchall()
    if owner != [(True,)]:
        found.errors.append(
            _refusal(
                msg("the role does not own the database, so it cannot close it to others while it is replaced"),
                msg("make it the owner (`ALTER DATABASE … OWNER TO …`), or name another role in `restore.admin`"),
            )
        )
    if strangers := [str(who) for (who,) in session.execute(_ROLES_OF_SESSIONS, [name]).fetchall()]:
        found.errors.append(
            _refusal(
                msg("roles are connected whose sessions this role may not end: {roles}", roles=_some(strangers)),
                msg("end these sessions, or grant the role `pg_signal_backend` (it never ends a superuser's)"),
            )
        )
    prepared = session.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s ORDER BY 1", [name]).fetchall()
    if prepared:
        names = _some([str(gid) for (gid,) in prepared])
        found.errors.append(
            _refusal(
                msg("there are prepared transactions: {names}", names=names),
                msg("end them by COMMIT PREPARED or ROLLBACK PREPARED"),
            )
        )
    server = session.info.server_version // 10_000
    if record is not None and major(record.server_version) > server:
        found.errors.append(
            _refusal(
                msg(
                    "the backup is of a PostgreSQL {dumped} server, and this one is {server}",
                    dumped=record.server_version,
                    server=server,
                ),
                msg("restore it on a server that is at least as new"),
            )
        )


def check_content(live: Connection, record: PostgresqlRecord | None, found: Preflight) -> None:
    """What only the database itself can tell. Raises psycopg.Error."""
    if strange := [str(what) for (what,) in live.execute(_OF_OTHERS).fetchall()]:
        found.errors.append(
            _refusal(msg("objects in the database belong to other roles: {objects}", objects=_some(strange)), _ADMIN)
        )
    lost = [str(name) for (name,) in live.execute(_LOST_EXTENSIONS).fetchall()]
    if lost and record is None:
        found.errors.append(
            _refusal(msg("extensions of other roles would be dropped: {names}", names=_some(lost)), _ADMIN)
        )
    if live.execute("SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
                    " WHERE d.datname = current_database()").fetchall():  # fmt: skip
        found.errors.append(_refusal(msg("the database holds a subscription"), msg("drop the subscription first")))
    if record is None:
        found.warnings.append(
            Finding("restore.not-compared", msg("the archive has no record of its rows, so nothing can be compared"))
        )
    else:
        _check_record(live, record, found)
    _check_locks(live, record, found)


def _check_record(live: Connection, record: PostgresqlRecord, found: Preflight) -> None:
    wanted = [extension.name for extension in record.extensions if extension.name != "plpgsql"]
    if missing := [str(name) for (name,) in live.execute(_MISSING_EXTENSIONS, [wanted]).fetchall()]:
        found.errors.append(
            _refusal(
                msg("extensions are missing that this role may not create: {names}", names=_some(missing)),
                msg("let an administrator install and create them in this database"),
            )
        )
    encoding = live.info.parameter_status("server_encoding") or ""
    if record.encoding != encoding:
        message = msg("the backup is in {dumped}, the database in {live}", dumped=record.encoding, live=encoding)
        if "SQL_ASCII" in (record.encoding, encoding):
            found.errors.append(_refusal(message, msg("create the database with the backup's encoding")))
        else:
            found.warnings.append(Finding("restore.encoding", message, hint=msg("its text will be converted")))
    named = [role.name for role in record.roles]
    absent = live.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regrole(quote_ident(name)) IS NULL ORDER BY 1", [named]
    ).fetchall()
    if absent:
        roles = _some([str(role) for (role,) in absent])
        message = msg("roles of the backup do not exist here, and their privileges are left out: {roles}", roles=roles)
        found.warnings.append(Finding("restore.roles", message, hint=msg("create them before, if they are needed")))


def _check_locks(live: Connection, record: PostgresqlRecord | None, found: Preflight) -> None:
    ((relations, objects, tables, capacity),) = (
        tuple(int(str(value)) for value in row) for row in live.execute(_LOCKS).fetchall()
    )
    new = relations if record is None else len(record.tables) * (max(4, -(-relations // tables)) if tables else 4)
    need = objects * 11 // 10 + new
    if need > capacity:
        found.errors.append(
            _refusal(
                msg(
                    "the restore needs about {need} locks, and the server has {capacity}", need=need, capacity=capacity
                ),
                msg("raise `max_locks_per_transaction` and restart the server, or use `restore.admin`"),
            )
        )


def check_contents(listing: bytes, label: str) -> None:
    """Refuse a dump with objects that only a superuser may create; `listing` is what `pg_restore --list` says."""
    if match := _PRIVILEGED.search(listing.decode("utf-8", "replace")):
        kind = match[1].lower()
        message = msg("the dump holds a kind of object that this role may not create: {kind}", kind=kind)
        raise Refused(message, where=label, hint=_ADMIN)


def chosen_entries(listing: bytes, skip: frozenset[str]) -> bytes:
    """The listing without the data of the members in `skip`, for `pg_restore --use-list`."""
    numbers = {match[1].encode() for name in skip if (match := _DATA_FILE.search(name))}
    lines = listing.splitlines(keepends=True)
    return b"".join(line for line in lines if line.partition(b";")[0] not in numbers)


def is_left_out(statement: Statement) -> bool:
    """What is the server's or an administrator's: owners, the schema `public` itself, comments on extensions."""
    match statement.words[:3]:
        case ("ALTER", *_):
            return _OWNER.search(statement.text) is not None
        case ("COMMENT", "ON", "EXTENSION"):
            return True
        case ("CREATE", "SCHEMA", *_):
            return _PUBLIC.fullmatch(statement.text) is not None
    return False


def may_fail(statement: Statement) -> bool:
    """Privileges of roles that do not exist here, and what only their grantor may say."""
    match statement.words[:4]:
        case ("GRANT" | "REVOKE", *_):
            return True
        case ("ALTER", "DEFAULT", "PRIVILEGES", *_) | ("COMMENT", "ON", "SCHEMA", "PUBLIC"):
            return True
        case ("SET", "SESSION", "AUTHORIZATION", *_):
            return True
    return False


def _refusal(message: Message, hint: Message, where: str | None = None) -> Finding:
    return Finding("refused", message, where, hint)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f", and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
