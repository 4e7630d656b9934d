"""Loads a dump into an empty database of its own, by a role that may be an ordinary one.

Owners and privileges: where every role of the dump exists and a superuser loads, pg_restore sets them. Otherwise it
loads without them, and afterwards the dump's own statements are run one by one, less those for roles that this server
does not have or that the loading role may not act for.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg import sql

from runner.databases.base import DumpFolder, DumpScript
from runner.databases.postgresql import in_place_rules as rules
from runner.databases.postgresql.connection import environment, password_of, restore_errors
from runner.databases.postgresql.maintenance import Connection, Rights, connect_unlimited, stoppable
from runner.databases.postgresql.replay import replay
from runner.databases.postgresql.script import Statement, decoded
from runner.databases.postgresql.tools import Tools, find_tools
from runner.durable import make_private_folder
from runner.errors import Refused
from runner.lanes import Stop
from runner.messages import msg
from runner.model.manifest import PostgresqlRecord
from runner.model.profile import PostgresqlConfig
from runner.process import run, stream

_LIST = "restore.list"

_MEMORY_MB = 512
_LEAST_MEMORY_MB = 64
"""What an index or the check of a foreign key may take is `maintenance_work_mem`, for each session that loads. All of
them together get 512 MB, which any server has that holds a database worth the name; none gets less than the default of
every server."""

# Byte 5 to 7 of the table of contents: the oldest client that reads it (pg_backup_archiver.h, K_VERS_1_14 to 1_16).
_READABLE_SINCE = {(1, 15): 16, (1, 16): 17}
_MAGIC = b"PGDMP"

_NAME = rb'("(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
_OWNER = re.compile(rb"\sOWNER\s+TO\s+" + _NAME + rb"\s*\Z", re.IGNORECASE)
_GRANTEE = re.compile(rb"\s(?:TO|FROM)\s+" + _NAME + rb"(?:\s+WITH\s+GRANT\s+OPTION)?\s*\Z", re.IGNORECASE)
_AUTHORIZATION = re.compile(rb"\ASET\s+SESSION\s+AUTHORIZATION\s+'((?:[^']|'')*)'\s*\Z", re.IGNORECASE)
_DEFAULTS_OF = re.compile(rb"\sFOR\s+ROLE\s+" + _NAME + rb"\s", re.IGNORECASE)

_ROLES = "SELECT rolname::text, pg_has_role(current_user, oid, 'USAGE') FROM pg_roles"
_NOT_CREATABLE = """
SELECT DISTINCT v.name::text FROM pg_available_extension_versions v
JOIN pg_available_extensions e ON e.name = v.name AND e.default_version = v.version
WHERE v.superuser AND NOT v.trusted
"""


@dataclass(frozen=True, slots=True)
class Loading:
    """Who loads where. `config` names the staged database, `admin` a superuser in it where one is at hand."""

    config: PostgresqlConfig
    rights: Rights
    admin: PostgresqlConfig | None
    record: PostgresqlRecord | None
    skip: frozenset[str]
    workspace: Path
    jobs: int = 1
    stop: Stop = field(default_factory=Stop)


def load_options(jobs: int, server_major: int) -> str:
    """PGOPTIONS for the sessions that load; the server's own settings, and every other session's, stay as they are.

    `synchronous_commit = off`: a crash in the middle of the load throws the staged database away anyhow. Afterwards
    every commit that waits for its own record in the log has waited for all before it (PostgreSQL, Asynchronous
    Commit), and the swap is such a commit: once it is durable, so is all that was loaded. `jobs` sessions may use as
    many processes each for an index while the others have nothing left to do.
    """
    settings = [
        "synchronous_commit=off",
        f"maintenance_work_mem={max(_LEAST_MEMORY_MB, _MEMORY_MB // jobs)}MB",
        "statement_timeout=0",
        "lock_timeout=0",
        "idle_in_transaction_session_timeout=0",
        "default_transaction_read_only=off",
    ]
    if server_major >= 11:
        settings.append(f"max_parallel_maintenance_workers={jobs - 1}")
    return " ".join(f"-c {setting}" for setting in settings)


def restoring_tools(server_major: int, dump_major: int, folder: Path | None) -> Tools:
    """The oldest client programs that read a dump of `dump_major` and know the server. Raises ToolMissing, Refused."""
    needed = max(server_major, dump_major)
    try:
        return find_tools(needed, folder)
    except Refused as error:
        raise Refused(
            msg(
                "this dump and a PostgreSQL {server} server need pg_restore {needed} or newer",
                server=server_major,
                needed=needed,
            ),
            where=error.where,
            hint=msg(
                "install the client programs of PostgreSQL {needed}, or name their folder in `database.tools.bin`",
                needed=needed,
            ),
        ) from None


def dump_major(folder: Path) -> int:
    """The oldest client that reads the dump, from its header; 0 for any."""
    with (folder / "toc.dat").open("rb") as file:
        header = file.read(8)
    if not header.startswith(_MAGIC) or len(header) < 7:
        return 0
    return _READABLE_SINCE.get((header[5], header[6]), 0)


def reader_of(writer_major: int) -> int:
    """The oldest client that reads a dump which a pg_dump of that major version wrote; 0 for any."""
    return max((major for major in _READABLE_SINCE.values() if major <= writer_major), default=0)


class Loader:
    """Loads one dump. Raises ToolFailed, StepFailed, Refused, ServerUnavailable, IntegrityError."""

    def __init__(self, loading: Loading, source: DumpFolder | DumpScript, server_major: int) -> None:
        """Reads the dump's table of contents, before any database is made for it."""
        self._loading = loading
        self._source = source
        self._server = server_major
        self._tools: Tools | None = None
        self._listing = b""
        if isinstance(source, DumpFolder):
            self._tools = restoring_tools(server_major, dump_major(source.path), loading.config.tools_bin)
            self._listing = run([self._tools.path("pg_restore"), "--list", str(source.path)])
            if not loading.rights.superuser:
                rules.check_contents(self._listing, loading.config.name)

    def load(self) -> None:
        """Everything that the dump holds, then fresh statistics. Raises Stopped, too."""
        made = self._create_extensions()
        with self._session() as connection:
            connection.execute("SET synchronous_commit = off")
            roles = _Roles(connection)
            if isinstance(self._source, DumpScript):
                leave_out = _script_rule(roles, superuser=self._loading.rights.superuser, old=self._server < 15)
                replay(connection, decoded(self._source.chunks, self._source.name), self._source.name, leave_out)
            else:
                self._load_folder(connection, roles, self._source.path, made)
        with self._session() as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute("ANALYZE")

    def _load_folder(self, connection: Connection, roles: "_Roles", folder: Path, made: frozenset[str]) -> None:
        tools, config = self._tools, self._loading.config
        assert tools is not None  # noqa: S101 - set by the constructor for every folder
        lines = self._chosen_lines(made)
        make_private_folder(self._loading.workspace)
        chosen = self._loading.workspace / _LIST
        chosen.write_bytes(b"".join(lines))
        arguments = [tools.path("pg_restore"), f"--use-list={chosen}"]
        if not _has_tablespaces(connection, self._loading.record):
            arguments.append("--no-tablespaces")
        as_recorded = self._loading.rights.superuser and roles.all_exist(lines, self._loading.record)
        bare = () if as_recorded else ("--no-owner", "--no-privileges")
        try:
            if tools.major >= 17 > self._server:  # it would send a setting that this server does not know
                script = stream([*arguments, *bare, "--file=-", str(folder)], ending=self._loading.stop.ending)
                replay(connection, script, folder.name)
            else:
                values = environment(config, password_of(config))
                jobs = self._loading.jobs
                run(
                    [*arguments, *bare, f"--jobs={jobs}", "--exit-on-error", f"--dbname={config.name}", str(folder)],
                    {**values, "PGOPTIONS": load_options(jobs, self._server)},
                    ending=self._loading.stop.ending,
                )
            if not as_recorded:
                schema = [*arguments, "--schema-only", "--file=-", str(folder)]
                self._hand_over(roles, lambda: stream(schema, ending=self._loading.stop.ending), folder.name)
        finally:
            chosen.unlink()

    def _hand_over(self, roles: "_Roles", script: Callable[[], Iterator[bytes]], name: str) -> None:
        """Owners first, each by itself; then privileges, where what only another grantor may say is passed over."""
        for rule, together in ((roles.is_no_owner, False), (roles.is_no_privilege, True)):
            with self._session() as connection:
                if together:
                    connection.execute("BEGIN")
                replay(connection, script(), name, rule, rules.may_fail)
                if together:
                    connection.execute("COMMIT")

    def _session(self) -> AbstractContextManager[Connection]:
        return stoppable(self._loading.config, self._loading.stop)

    def _chosen_lines(self, made: frozenset[str]) -> list[bytes]:
        """The table of contents, less damaged data, and less what is an administrator's."""
        chosen = rules.chosen_entries(self._listing, self._loading.skip)
        left_out: list[bytes] = [f" SCHEMA - {schema} ".encode() for schema in made]
        if not self._loading.rights.superuser:
            left_out.append(b" COMMENT - EXTENSION ")
            if self._server < 15:  # the schema `public` is the superuser's there
                left_out.append(b" COMMENT - SCHEMA public ")
        return [line for line in chosen.splitlines(keepends=True) if not any(words in line for words in left_out)]

    def _create_extensions(self) -> frozenset[str]:
        """By the administrator, while nothing of the dump is there yet; the schemas that were made for them."""
        loading = self._loading
        if loading.admin is None or loading.rights.superuser or loading.record is None:
            return frozenset()
        made: set[str] = set()
        with connect_unlimited(loading.admin) as connection, restore_errors(loading.admin):
            beyond = not_creatable(connection)
            for extension in loading.record.extensions:
                if extension.name not in beyond:
                    continue
                known = "SELECT FROM pg_namespace WHERE nspname = %s"
                schema = sql.Identifier(extension.schema)
                if not connection.execute(known, [extension.schema]).fetchall():
                    create = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}")
                    connection.execute(create.format(schema, sql.Identifier(loading.rights.role)))
                    made.add(extension.schema)
                create = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {} CASCADE")
                connection.execute(create.format(sql.Identifier(extension.name), schema))
        return frozenset(made)


def not_creatable(connection: Connection) -> frozenset[str]:
    """The extensions of this server that only a superuser may create. Raises psycopg.Error."""
    return frozenset(str(name) for (name,) in connection.execute(_NOT_CREATABLE).fetchall()) - {"plpgsql"}


def staged_config(config: PostgresqlConfig, name: str) -> PostgresqlConfig:
    """The same server and role, another database."""
    return replace(config, name=name)


class _Roles:
    """The roles that exist, those that the session's role may act for, and which statements need others."""

    def __init__(self, connection: Connection) -> None:
        """Raises psycopg.Error."""
        rows = connection.execute(_ROLES).fetchall()
        self._known = {str(name).encode() for name, _ in rows} | {b"public"}
        self._own = {str(name).encode() for name, own in rows if own}

    def all_exist(self, lines: list[bytes], record: PostgresqlRecord | None) -> bool:
        """Whether this server has the owners in a table of contents, and all roles of the record."""
        if record is None or any(role.name.encode() not in self._known for role in record.roles):
            return False
        endings = tuple(b" " + name for name in self._known)
        entries = (line.rstrip(b"\r\n") for line in lines if line[:1].isdigit())
        return all(entry.endswith(b" ") or entry.endswith(endings) for entry in entries)

    def is_no_owner(self, statement: Statement) -> bool:
        """Not a statement that gives something to a role that the session's role may act for."""
        if _is_setting(statement):
            return False
        owner = _OWNER.search(statement.text) if statement.words[:1] == ("ALTER",) else None
        return owner is None or _plain(owner[1]) not in self._own

    def is_no_privilege(self, statement: Statement) -> bool:
        """Not a statement about privileges, or one about roles that do not exist."""
        match statement.words[:3]:
            case ("GRANT" | "REVOKE", *_) | ("ALTER", "DEFAULT", "PRIVILEGES"):
                return self.names_a_missing_role(statement)
            case ("SET" | "RESET", "SESSION", "AUTHORIZATION"):
                return False
        return not _is_setting(statement)

    def is_missing(self, name: bytes) -> bool:
        return name not in self._known

    def names_a_missing_role(self, statement: Statement) -> bool:
        """In the place where pg_dump puts the one role that a statement about privileges is for."""
        named = [match[1] for pattern in (_GRANTEE, _DEFAULTS_OF) if (match := pattern.search(statement.text))]
        return any(_plain(name) not in self._known for name in named)


def _script_rule(roles: _Roles, *, superuser: bool, old: bool) -> Callable[[Statement], bool]:
    """Which statements of a whole script are left out."""

    def leave_out(statement: Statement) -> bool:
        match statement.words[:4]:
            case ("ALTER", "DEFAULT", "PRIVILEGES", *_) | ("GRANT" | "REVOKE", *_):
                on_public = b" ON SCHEMA public " in statement.text
                return roles.names_a_missing_role(statement) or (old and on_public and not superuser)
            case ("ALTER", *_):
                return _OWNER.search(statement.text) is not None and roles.is_no_owner(statement)
            case ("SET", "SESSION", "AUTHORIZATION", *_):
                grantor = _AUTHORIZATION.match(statement.text)
                return not superuser or (grantor is not None and roles.is_missing(grantor[1].replace(b"''", b"'")))
            case ("COMMENT", "ON", "SCHEMA", "PUBLIC"):
                return old and not superuser
            case ("COMMENT", "ON", "EXTENSION", *_):
                return not superuser
        return rules.is_left_out(statement)

    return leave_out


def _is_setting(statement: Statement) -> bool:
    """One that says how to read the rest, such as its encoding."""
    return statement.words[:1] == ("SET",) and statement.words[1:2] != ("SESSION",)


def _plain(name: bytes) -> bytes:
    return name[1:-1].replace(b'""', b'"') if name.startswith(b'"') else name.lower()


def _has_tablespaces(connection: Connection, record: PostgresqlRecord | None) -> bool:
    wanted = [] if record is None else list(record.properties.tablespaces)
    found = connection.execute("SELECT FROM pg_tablespace WHERE spcname = ANY(%s)", [wanted]).fetchall()
    return len(found) == len(wanted)
