"""What `runner.databases.base` promises, held against every engine and every format of a dump."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from runner.databases.base import Capture
from runner.errors import ExitCode, SourceMissing, StepFailed, exit_code_of
from runner.lanes import Stopped
from runner.model.manifest import DatabaseRecord
from runner.model.profile import DatabaseConfig, PostgresqlConfig, Reference, SqliteConfig
from runner.workflow.places import open_capture
from tests.servers.postgresql import Cluster

TIMESTAMP = "20260108_110353"
RECEIPT = Reference("payment", "receipt")
VALUES = {"reçus/1.pdf", "a b.pdf", 'c\'est "ça".pdf', "back\\slash.pdf", "%41.pdf", "line\nbreak.pdf", "tab\t.pdf"}


@dataclass(frozen=True, slots=True)
class Live:
    """A database of the test's own: its profile's part, and a way to change it."""

    config: DatabaseConfig
    execute: Callable[[str], object]
    has_schemas: bool

    def capture(self, workspace: Path) -> contextlib.AbstractContextManager[Capture]:
        workspace.mkdir(exist_ok=True)
        return open_capture(self.config, workspace, TIMESTAMP)


@contextlib.contextmanager
def live_sqlite(folder: Path, cluster: Callable[[], Cluster]) -> Iterator[Live]:
    path = folder / "live.sqlite3"

    def execute(statement: str) -> object:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement)

    execute("PRAGMA user_version = 0")
    path.touch()
    yield Live(SqliteConfig(path), execute, has_schemas=False)


@contextlib.contextmanager
def live_postgresql(folder: Path, cluster: Callable[[], Cluster]) -> Iterator[Live]:
    server = cluster()
    name = server.create_database("contract", encoding="UTF8")
    config = PostgresqlConfig(name, host=server.host, port=server.port, user=server.user, tools_bin=server.bin)
    try:
        yield Live(config, lambda statement: server.sql(name, statement), has_schemas=True)
    finally:
        server.drop_database(name)


@contextlib.contextmanager
def live_postgresql_plain(folder: Path, cluster: Callable[[], Cluster]) -> Iterator[Live]:
    with live_postgresql(folder, cluster) as live:
        assert isinstance(live.config, PostgresqlConfig)
        yield replace(live, config=replace(live.config, format="plain"))


@pytest.fixture(params=[live_sqlite, live_postgresql, live_postgresql_plain], ids=lambda kind: kind.__name__)
def empty(
    request: pytest.FixtureRequest, tmp_path: Path, cluster_of: Callable[[int | None], Cluster]
) -> Iterator[Live]:
    with request.param(tmp_path, lambda: cluster_of(None)) as live:
        yield live


@pytest.fixture
def live(empty: Live) -> Live:
    empty.execute("CREATE TABLE payment (id integer PRIMARY KEY, receipt varchar(100))")
    for number, value in enumerate(sorted(VALUES)):
        empty.execute(f"INSERT INTO payment (id, receipt) VALUES ({number}, {quoted(value)})")
    empty.execute("INSERT INTO payment (id, receipt) VALUES (-1, ''), (-2, NULL), (-3, 'twice.pdf'), (-4, 'twice.pdf')")
    empty.execute('CREATE TABLE "Élèves ""du"" lycée" ("Nom" text)')
    empty.execute("""INSERT INTO "Élèves ""du"" lycée" VALUES ('x'), ('y'), ('line
break'), ('\\.')""")
    return empty


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def read_parts(capture: Capture, *, gzip: bool = True) -> dict[str, bytes]:
    """Every part, as the archive would take them: in order, each read to its end."""
    found: dict[str, bytes] = {}
    for part in capture.parts(gzip=gzip):
        content = b"".join(part.chunks)
        assert part.name not in found
        assert len(content) <= part.size_bytes
        assert part.packing in ("gzip", "deflate", "none")
        assert gzip or part.packing != "gzip"
        assert part.name.startswith("db_")
        assert TIMESTAMP in part.name.partition("/")[0]
        found[part.name] = content
    return found


def test_a_dump_that_is_no_longer_wanted_ends_at_its_next_chunk(live: Live, tmp_path: Path) -> None:
    wanted = True

    def still_wanted() -> None:
        if not wanted:
            raise Stopped

    with live.capture(tmp_path / "work") as capture:
        parts = capture.parts(gzip=False, still_wanted=still_wanted)
        part = next(parts)
        wanted = False
        with pytest.raises(Stopped):
            b"".join(part.chunks)


def rows_of(record: DatabaseRecord) -> dict[str, int | None]:
    return {table.name.removeprefix("public."): table.rows for table in record.tables}


def test_values_are_distinct_and_not_empty(live: Live, tmp_path: Path) -> None:
    with live.capture(tmp_path / "work") as capture:
        values = list(capture.referenced(RECEIPT))
    assert set(values) == VALUES | {"twice.pdf"}
    assert len(values) == len(set(values))


def test_everything_is_of_one_instant(live: Live, tmp_path: Path) -> None:
    with live.capture(tmp_path / "work") as capture:
        live.execute("INSERT INTO payment (id, receipt) VALUES (-5, 'later.pdf')")
        live.execute("DELETE FROM payment WHERE receipt = 'twice.pdf'")
        live.execute("CREATE TABLE later (x integer)")
        assert set(capture.referenced(RECEIPT)) == VALUES | {"twice.pdf"}
        parts = read_parts(capture)
        record = capture.record()
    school = '"Élèves ""du"" lycée"' if live.has_schemas else 'Élèves "du" lycée'
    assert rows_of(record) == {"payment": len(VALUES) + 4, school: 4}
    everything = b"".join(parts.values())
    assert b"later" not in everything
    assert b"twice.pdf" in everything


def test_a_second_look_sees_the_present(live: Live, tmp_path: Path) -> None:
    with live.capture(tmp_path / "work") as capture:
        live.execute("INSERT INTO payment (id, receipt) VALUES (-5, 'later.pdf')")
        live.execute("DELETE FROM payment WHERE receipt IN ('twice.pdf', 'a b.pdf')")
        asked = [*VALUES, "twice.pdf", "later.pdf", "never.pdf", "caf\udce9.pdf", "nul\0.pdf"]
        assert capture.still_referenced(RECEIPT, asked) == (VALUES - {"a b.pdf"}) | {"later.pdf"}
        assert capture.still_referenced(RECEIPT, []) == frozenset()
        assert "twice.pdf" in set(capture.referenced(RECEIPT))


@pytest.mark.parametrize("gzip", [True, False])
def test_a_dump_is_handed_over_in_parts_and_counted(live: Live, tmp_path: Path, gzip: bool) -> None:
    with live.capture(tmp_path / "work") as capture:
        parts = read_parts(capture, gzip=gzip)
        record = capture.record()
        assert capture.findings() == ()
    assert sum(rows or 0 for rows in rows_of(record).values()) == len(VALUES) + 4 + 4
    assert parts
    assert all(name == record.dump or name.startswith(f"{record.dump}/") for name in parts)
    if isinstance(live.config, PostgresqlConfig) and live.config.format == "directory":
        members = {table.member for table in record.tables}
        assert members < set(parts)
        assert all((member or "").endswith(".gz") is gzip for member in members)


def test_the_record_is_one_of_ours(live: Live, tmp_path: Path) -> None:
    with live.capture(tmp_path / "work") as capture:
        read_parts(capture)
        record = capture.record()
    again = msgspec.json.decode(msgspec.json.encode(record), type=type(record))
    assert again == record


def test_migrations_are_read_where_there_are_any(live: Live, tmp_path: Path) -> None:
    live.execute("CREATE TABLE django_migrations (id integer, app varchar(20), name varchar(20))")
    live.execute("INSERT INTO django_migrations VALUES (1, 'school', '0001_initial'), (2, 'auth', '0002_x')")
    with live.capture(tmp_path / "work") as capture:
        read_parts(capture)
        django = capture.record().django
    assert django is not None
    assert [(each.app, each.name) for each in django.migrations] == [("auth", "0002_x"), ("school", "0001_initial")]


def test_a_table_of_that_name_and_another_shape_is_none(live: Live, tmp_path: Path) -> None:
    live.execute("CREATE TABLE django_migrations (what text)")
    with live.capture(tmp_path / "work") as capture:
        assert capture.record().django is None


def test_a_database_without_tables_is_told(empty: Live, tmp_path: Path) -> None:
    with empty.capture(tmp_path / "work") as capture:
        read_parts(capture)
        (finding,) = capture.findings()
        assert capture.record().tables == ()
    assert finding.code == "database.empty"
    assert finding.hint is not None


@pytest.mark.parametrize(
    "reference",
    [Reference("no_such_table", "receipt"), Reference("payment", "no_such_column"), Reference("no_schema.t", "c")],
    ids=str,
)
def test_a_column_that_is_not_there_is_an_error(live: Live, tmp_path: Path, reference: Reference) -> None:
    with live.capture(tmp_path / "work") as capture, pytest.raises(StepFailed) as caught:
        list(capture.referenced(reference))
    assert isinstance(caught.value, SourceMissing)
    assert exit_code_of(caught.value) is ExitCode.STEP
    assert caught.value.hint is not None
    with live.capture(tmp_path / "work") as capture, pytest.raises(SourceMissing):
        capture.still_referenced(reference, ["x"])


def test_names_are_names_and_never_code(live: Live, tmp_path: Path) -> None:
    live.execute('CREATE TABLE "odd; DROP TABLE payment" ("it\'s ""a"" path" text)')
    live.execute("""INSERT INTO "odd; DROP TABLE payment" VALUES ('x.pdf')""")
    with live.capture(tmp_path / "work") as capture:
        assert list(capture.referenced(Reference("odd; DROP TABLE payment", 'it\'s "a" path'))) == ["x.pdf"]
        assert len(set(capture.referenced(RECEIPT))) == len(VALUES) + 1


def test_a_schema_in_front_of_a_table(live: Live, tmp_path: Path) -> None:
    schema = "public" if live.has_schemas else "main"
    with live.capture(tmp_path / "work") as capture:
        reference = Reference(f"{schema}.payment", "receipt")
        assert set(capture.referenced(reference)) == VALUES | {"twice.pdf"}
        assert capture.still_referenced(reference, ["twice.pdf"]) == {"twice.pdf"}


def test_values_that_are_no_text(live: Live, tmp_path: Path) -> None:
    live.execute("CREATE TABLE numbers (x integer)")
    live.execute("INSERT INTO numbers VALUES (7), (NULL), (0)")
    with live.capture(tmp_path / "work") as capture:
        assert set(capture.referenced(Reference("numbers", "x"))) == {"7", "0"}
        assert capture.still_referenced(Reference("numbers", "x"), ["7", "8"]) == {"7"}


def test_two_captures_at_once(live: Live, tmp_path: Path) -> None:
    with live.capture(tmp_path / "one") as one, live.capture(tmp_path / "two") as two:
        assert read_parts(one).keys() == read_parts(two).keys()
        assert rows_of(one.record()) == rows_of(two.record())


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_nothing_is_left_behind(live: Live, tmp_path: Path, when: str) -> None:
    with contextlib.suppress(ZeroDivisionError), live.capture(tmp_path / "work") as capture:
        if when != "before":
            parts = capture.parts(gzip=True)
            b"".join(next(parts).chunks)
        if when == "between":
            raise ZeroDivisionError
    assert list((tmp_path / "work").iterdir()) == []


def test_the_source_is_as_it_was(live: Live, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    with live.capture(tmp_path / "work") as capture:
        read_parts(capture)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "work"])
    live.execute("INSERT INTO payment (id) VALUES (-9)")
