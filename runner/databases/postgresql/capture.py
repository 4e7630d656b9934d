"""A captured instant of a PostgreSQL database: one exported snapshot, shared by every reader."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.databases.base import DumpPart, StillWanted, always_wanted
from runner.databases.postgresql import catalog
from runner.databases.postgresql.connection import (
    connect,
    describe,
    environment,
    mapped_errors,
    password_of,
)
from runner.databases.postgresql.dump import (
    DirectoryDump,
    Dumping,
    TableData,
    count_rows,
    finished_files,
    read_contents,
    stream_file,
)
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
        self._data: dict[str, _TableData] = {}
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

    def parts(self, *, gzip: bool, jobs: int = 1, still_wanted: StillWanted = always_wanted) -> Iterator[DumpPart]:
        values = environment(self._config, self._password)
        dumping = Dumping(self._tools, values, self._snapshot, self._folder, jobs)
        for path in finished_files(self._config, dumping, self._warnings.append, still_wanted):
            if self._config.format == "directory":
                yield self._table_part(path, gzip=gzip, still_wanted=still_wanted)
                path.unlink()
        self._dump = dump = read_contents(self._tools, self._folder, self._data)
        # A server that went away after pg_dump's last word has not told us of it yet.
        with mapped_errors(self._config):
            self._connection.execute("SELECT 1")
        if self._config.format == "plain":
            yield from self._plain_parts(dump, still_wanted)
        else:
            yield from self._last_parts(dump, gzip=gzip, still_wanted=still_wanted)

    def record(self) -> PostgresqlRecord:
        facts, config = self._facts, self._config
        dumped = [] if self._dump is None else list(map(self._table_record, self._dump.tables))
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

    def _table_part(self, path: Path, *, gzip: bool, still_wanted: StillWanted) -> DumpPart:
        """The data of a table; its rows are counted as they pass."""
        size = path.stat().st_size
        name = self._member_name(path, gzip=gzip)

        def keep(rows: int) -> None:
            self._data[path.name] = _TableData(rows, size, name)

        return DumpPart(name, size, "gzip" if gzip else "none", _watched(count_rows(path, keep), still_wanted))

    def _last_parts(self, dump: DirectoryDump, *, gzip: bool, still_wanted: StillWanted) -> Iterator[DumpPart]:
        """What pg_dump has left in its folder; each file is removed once it has been read, to keep the disk free."""
        tables = {table.file_name for table in dump.tables}
        for path in dump.files():
            if path.name in tables:
                yield self._table_part(path, gzip=gzip, still_wanted=still_wanted)
            else:
                size, content = path.stat().st_size, _watched(stream_file(path), still_wanted)
                if _is_large_object(path):
                    self._large_objects.append(size)
                    yield DumpPart(self._member_name(path, gzip=gzip), size, "gzip" if gzip else "none", content)
                else:
                    yield DumpPart(self._member_name(path, gzip=False), size, "deflate", content)
            path.unlink()

    def _plain_parts(self, dump: DirectoryDump, still_wanted: StillWanted) -> Iterator[DumpPart]:
        """One SQL script, made by pg_restore from the directory, whose data files are counted and checked first."""
        bound = _PLAIN_ROOM + _PLAIN_GROWTH * sum(path.stat().st_size for path in dump.files())
        tables = {table.file_name for table in dump.tables}
        for path in dump.files():
            if path.name in tables:
                for _ in _watched(count_rows(path, partial(self._keep_plain, path)), still_wanted):
                    pass
            elif _is_large_object(path):
                self._large_objects.append(path.stat().st_size)
        script = stream([self._tools.path("pg_restore"), "--file=-", str(dump.folder)])
        yield DumpPart(self._dump_name, bound, "deflate", _watched(script, still_wanted))

    def _keep_plain(self, path: Path, rows: int) -> None:
        self._data[path.name] = _TableData(rows, path.stat().st_size, None)

    def _member_name(self, path: Path, *, gzip: bool) -> str:
        return f"{self._folder.name}/{path.name}{'.gz' if gzip else ''}"

    def _table_record(self, table: TableData) -> TableRecord:
        known = self._facts.tables.get(table.table_oid)
        name = known.name if known is not None else f"oid {table.table_oid}"
        data = self._data[table.file_name]
        return TableRecord(name=name, rows=data.rows, size=data.size, member=data.member)


@dataclass(frozen=True, slots=True)
class _TableData:
    """What was counted in a data file; `member` None where the dump is one script."""

    rows: int
    size: int
    member: str | None


def _watched(chunks: Iterator[bytes], still_wanted: StillWanted) -> Iterator[bytes]:
    for chunk in chunks:
        still_wanted()
        yield chunk


def _is_large_object(path: Path) -> bool:
    return path.name.startswith("blob_")


def _text(value: object) -> str:
    assert isinstance(value, bytes)  # noqa: S101 - both queries return bytea
    return value.decode("utf-8", "surrogateescape")
