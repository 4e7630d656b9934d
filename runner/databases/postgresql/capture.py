"""A captured instant of a PostgreSQL database: one exported snapshot, shared by every reader."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from runner.databases.base import DumpPart
from runner.databases.postgresql import catalog
from runner.databases.postgresql.connection import (
    connect,
    describe,
    environment,
    mapped_errors,
    password_of,
)
from runner.databases.postgresql.dump import DirectoryDump, count_rows, dump_directory, stream_file
from runner.databases.postgresql.tools import Tools, find_tools
from runner.durable import remove_tree
from runner.errors import Finding
from runner.messages import msg
from runner.model.manifest import LargeObjectsRecord, PostgresqlRecord, TableRecord
from runner.model.profile import PostgresqlConfig, Reference
from runner.model.secret import Secret
from runner.process import stream

_PLAIN_GROWTH = 4  # large objects come out as hexadecimal text, and statements around the data
_PLAIN_ROOM = 64 << 20
_FETCH_ROWS = 10_000


def open_capture(config: PostgresqlConfig, workspace: Path, timestamp: str) -> "PostgresqlCapture":
    """Connect, find the fitting client programs, and fix the instant.

    `workspace` is a private folder for the dump. Raises ServerUnavailable, ToolMissing, Refused, ConfigurationInvalid.
    """
    password = password_of(config)
    connection = connect(config, password)
    try:
        with mapped_errors(config):
            tools = find_tools(connection.info.server_version // 10_000, config.tools_bin)
            return PostgresqlCapture(config, password, connection, tools, workspace / f"db_postgres_{timestamp}")
    except BaseException:
        connection.close()
        raise


class PostgresqlCapture:
    """See `runner.databases.base.Capture`."""

    def __init__(
        self,
        config: PostgresqlConfig,
        password: Secret | None,
        connection: catalog.Connection,
        tools: Tools,
        folder: Path,
    ) -> None:
        """Raises psycopg.Error."""
        self._config = config
        self._password = password
        self._connection = connection
        self._tools = tools
        self._folder = folder
        self._rows: dict[int, TableRecord] = {}
        self._large_objects: list[int] = []
        self._warnings: list[str] = []
        self._dump: DirectoryDump | None = None
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(f"SET {setting} = 0")
        if connection.info.server_version >= 170000:
            connection.execute("SET transaction_timeout = 0")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._snapshot = str(connection.execute("SELECT pg_export_snapshot()").fetchall()[0][0])
        self._facts = catalog.read_facts(connection)

    def __enter__(self) -> "PostgresqlCapture":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        remove_tree(self._folder)

    def referenced(self, reference: Reference) -> Iterator[str]:
        query = catalog.column_values(reference.table, reference.column)
        with mapped_errors(self._config), self._connection.cursor("runner_references") as cursor:
            cursor.itersize = _FETCH_ROWS
            for (value,) in cursor.execute(query):
                yield _text(value)

    def still_referenced(self, reference: Reference, values: Collection[str]) -> frozenset[str]:
        wanted = [value.encode("utf-8", "surrogateescape") for value in values]
        query = catalog.values_present(reference.table, reference.column)
        with mapped_errors(self._config), connect(self._config, self._password) as present:
            return frozenset(_text(value) for (value,) in present.execute(query, [wanted]))

    def parts(self, *, gzip: bool) -> Iterator[DumpPart]:
        dump = dump_directory(
            self._config,
            self._tools,
            environment(self._config, self._password),
            self._snapshot,
            self._folder,
            told=self._warnings.append,
        )
        self._dump = dump
        # A server that went away after pg_dump's last word has not told us of it yet.
        with mapped_errors(self._config):
            self._connection.execute("SELECT 1")
        if self._config.format == "plain":
            yield from self._plain_parts(dump)
        else:
            yield from self._directory_parts(dump, gzip=gzip)

    def record(self) -> PostgresqlRecord:
        facts, config = self._facts, self._config
        dumped = sorted(self._rows.values(), key=lambda table: table.name)
        names = {table.name for table in dumped}
        left_out = [
            TableRecord(name=table.name, rows=None)
            for table in facts.tables.values()
            if config.exclude_table_data and table.ordinary and table.name not in names
        ]
        return PostgresqlRecord(
            name=config.name,
            host=config.host,
            port=config.port,
            format=config.format,
            server_version=self._connection.info.parameter_status("server_version") or "",
            client_version=self._tools.version,
            encoding=facts.encoding,
            collation=facts.collation,
            ctype=facts.ctype,
            locale_provider=facts.locale_provider,
            icu_locale=facts.icu_locale,
            extensions=facts.extensions,
            properties=facts.properties,
            roles=facts.roles,
            large_objects=LargeObjectsRecord(count=len(self._large_objects), size=sum(self._large_objects)),
            size=facts.size,
            dump=self._dump_name,
            tables=tuple(sorted((*dumped, *left_out), key=lambda table: table.name)),
            sequences=() if self._dump is None else self._dump.sequences,
            exclude_table_data=config.exclude_table_data,
            django=facts.django,
        )

    def findings(self) -> tuple[Finding, ...]:
        where = describe(self._config)
        found = [Finding("database.pg_dump", msg("{words}", words=words), where) for words in self._warnings]
        if not self.record().tables:
            hint = msg("check `database.name`: is this the application's database?")
            found.append(Finding("database.empty", msg("the database has no tables"), where, hint))
        return tuple(found)

    @property
    def _dump_name(self) -> str:
        return f"{self._folder.name}.sql" if self._config.format == "plain" else self._folder.name

    def _directory_parts(self, dump: DirectoryDump, *, gzip: bool) -> Iterator[DumpPart]:
        """Each file of the dump; a file is removed once it has been read, to keep the disk free."""
        tables = {table.file_name: table.table_oid for table in dump.tables}
        for path in dump.files():
            name, size = f"{dump.folder.name}/{path.name}", path.stat().st_size
            packed = f"{name}.gz" if gzip else name
            packing: Literal["gzip", "none"] = "gzip" if gzip else "none"
            if path.name in tables:
                yield DumpPart(packed, size, packing, self._counted(path, tables[path.name], packed))
            elif _is_large_object(path):
                self._large_objects.append(size)
                yield DumpPart(packed, size, packing, stream_file(path))
            else:
                yield DumpPart(name, size, "deflate", stream_file(path))
            path.unlink()

    def _plain_parts(self, dump: DirectoryDump) -> Iterator[DumpPart]:
        """One SQL script, made by pg_restore from the directory, whose data files are counted and checked first."""
        bound = _PLAIN_ROOM + _PLAIN_GROWTH * sum(path.stat().st_size for path in dump.files())
        tables = {table.file_name: table.table_oid for table in dump.tables}
        for path in dump.files():
            if path.name in tables:
                for _ in self._counted(path, tables[path.name], None):
                    pass
            elif _is_large_object(path):
                self._large_objects.append(path.stat().st_size)
        script = stream([self._tools.path("pg_restore"), "--file=-", str(dump.folder)])
        yield DumpPart(self._dump_name, bound, "deflate", script)

    def _counted(self, path: Path, table_oid: int, member: str | None) -> Iterator[bytes]:
        table = self._facts.tables.get(table_oid)
        name = table.name if table is not None else f"oid {table_oid}"
        size = path.stat().st_size

        def keep(rows: int) -> None:
            self._rows[table_oid] = TableRecord(name=name, rows=rows, size=size, member=member)

        yield from count_rows(path, keep)


def _is_large_object(path: Path) -> bool:
    return path.name.startswith("blob_")


def _text(value: object) -> str:
    assert isinstance(value, bytes)  # noqa: S101 - both queries return bytea
    return value.decode("utf-8", "surrogateescape")
