"""A restored database against the manifest's record: what must be equal, and every way in which it can be not."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from runner.databases.postgresql import open_capture
from runner.databases.postgresql.compare import differences, parse_name
from runner.model.manifest import LargeObjectsRecord, PostgresqlRecord, SequenceRecord, TableRecord
from runner.model.profile import PostgresqlConfig
from tests.servers.postgresql import Cluster


def config_of(cluster: Cluster, name: str) -> PostgresqlConfig:
    return PostgresqlConfig(name, cluster.host, cluster.port, cluster.user, tools_bin=cluster.bin)


def dump(config: PostgresqlConfig, folder: Path) -> tuple[Path, PostgresqlRecord]:
    """A dump as the archive holds it, unpacked, and the manifest's record of it."""
    work = folder / "work"
    work.mkdir(parents=True)
    with open_capture(config, work, "20260108_110353") as capture:
        for part in capture.parts(gzip=False):
            target = folder / part.name
            target.parent.mkdir(exist_ok=True)
            with target.open("wb") as file:
                file.writelines(part.chunks)
        record = capture.record()
    assert record.format == "directory"
    return folder / record.dump, record


def found(cluster: Cluster, name: str, record: PostgresqlRecord, skip: frozenset[str] = frozenset()) -> list[str]:
    with cluster.connect(name) as connection, connection.transaction():
        return [str(finding) for finding in differences(connection, record, skip)]


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Makes fresh, empty databases."""
    made: list[str] = []

    def make() -> str:
        made.append(cluster.create_database(f"empty_{secrets.token_hex(6)}", encoding="UTF8"))
        return made[-1]

    yield make
    cluster.start()
    for name in made:
        cluster.drop_database(name)


@pytest.fixture(params=["pagila", "regression"])
def rich(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


def test_a_faithful_restore_is_equal(cluster: Cluster, rich: str, empty: Callable[[], str], tmp_path: Path) -> None:
    if rich.startswith("pagila"):
        cluster.sql(rich, "SELECT lo_from_bytea(4242, decode(repeat('00ff', 50000), 'hex')); SELECT lo_create(4243)")
    folder, record = dump(config_of(cluster, rich), tmp_path)
    restored = empty()
    cluster.run("pg_restore", "--exit-on-error", "--dbname=", "--jobs=2", str(folder), dbname=restored)
    assert len(record.tables) > 20
    assert found(cluster, restored, record) == []


SCHOOL = """
CREATE TABLE pupil (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
INSERT INTO pupil (name) SELECT 'x' FROM generate_series(1, 7);
CREATE SCHEMA "Odd ""one";
CREATE TABLE "Odd ""one"."select; DROP TABLE pupil" (x integer);
INSERT INTO "Odd ""one"."select; DROP TABLE pupil" VALUES (1), (2);
CREATE TABLE session (x integer);
CREATE TABLE parent (x integer); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (1), (2);
CREATE SEQUENCE fresh;
SELECT lo_from_bytea(4242, 'twelve bytes');
"""


@pytest.fixture
def school(cluster: Cluster, empty: Callable[[], str], tmp_path: Path) -> tuple[str, PostgresqlRecord]:
    name = empty()
    cluster.sql(name, SCHOOL)
    config = replace(config_of(cluster, name), exclude_table_data=("session",))
    return name, dump(config, tmp_path)[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("SELECT 1", []),
        ("DELETE FROM pupil WHERE id = 7", ["the table `public.pupil` has 6 rows instead of 7"]),
        ("INSERT INTO parent VALUES (1)", ["the table `public.parent` has 1 rows instead of 0"]),
        ("INSERT INTO session VALUES (1)", ["the table `public.session` has 1 rows instead of 0"]),
        ("DROP TABLE session", ["the table `public.session` is not there"]),
        (
            "DROP TABLE session; CREATE VIEW session AS SELECT 1 WHERE 1/0 = 1",
            ["the table `public.session` is not there"],
        ),
        ('CREATE TABLE "New one" (x integer)', ['the table `"public"."New one"` is not in the backup']),
        (
            """DROP TABLE "Odd ""one"."select; DROP TABLE pupil" """,
            ["""the table `"Odd ""one"."select; DROP TABLE pupil"` is not there"""],
        ),
        ("SELECT nextval('fresh')", ["the sequence `public.fresh` stands at 1 instead of 1 (not called)"]),
        ("SELECT setval('pupil_id_seq', 9)", ["the sequence `public.pupil_id_seq` stands at 9 instead of 7"]),
        ("DROP SEQUENCE fresh", ["the sequence `public.fresh` is not there"]),
        (
            "SELECT lo_put(4242, 12, '!')",
            ["there are 1 large objects of 13 bytes instead of 1 of 12 bytes"],
        ),
        (
            "SELECT lo_put(4242, 99, '!')",
            ["there are 1 large objects of 100 bytes instead of 1 of 12 bytes"],
        ),
        ("SELECT lo_unlink(4242)", ["there are 0 large objects of 0 bytes instead of 1 of 12 bytes"]),
        ("SELECT lo_create(0)", ["there are 2 large objects of 12 bytes instead of 1 of 12 bytes"]),
    ],
)
def test_every_difference_is_told(
    cluster: Cluster, school: tuple[str, PostgresqlRecord], change: str, told: list[str]
) -> None:
    name, record = school
    cluster.sql(name, change)
    assert found(cluster, name, record) == told


def test_a_damaged_table_that_was_left_out_only_has_to_exist(
    cluster: Cluster, school: tuple[str, PostgresqlRecord]
) -> None:
    name, record = school
    (member,) = (table.member for table in record.tables if table.name == "public.pupil")
    assert member is not None
    cluster.sql(name, "TRUNCATE pupil")
    assert found(cluster, name, record, frozenset({member})) == []
    cluster.sql(name, "DROP TABLE pupil CASCADE")
    told = found(cluster, name, record, frozenset({member}))
    assert told == ["the table `public.pupil` is not there", "the sequence `public.pupil_id_seq` is not there"]


HOSTILE = (
    "public.pupil; DROP TABLE pupil",
    'public."pupil"; DROP TABLE pupil',
    "(SELECT lo_unlink(4242))",
    "public.pupil WHERE (SELECT lo_unlink(4242)) = 1",
    "pg_catalog.pg_class",
    "pupil",
    "a.b.c.d",
    '"',
    "public.pupil\x00",
    "%s",
    "",
)


def test_a_hostile_manifest_runs_nothing(cluster: Cluster, school: tuple[str, PostgresqlRecord]) -> None:
    name, record = school
    hostile = msgspec.structs.replace(
        record,
        tables=(*record.tables, *(TableRecord(name=each, rows=1) for each in HOSTILE)),
        sequences=(
            *record.sequences,
            *(SequenceRecord(name=each, last_value=1, is_called=True) for each in (*HOSTILE, "public.pupil")),
        ),
    )
    told = found(cluster, name, hostile)
    assert found(cluster, name, record) == []
    without_catalog = [line for line in told if "pg_catalog.pg_class" not in line]
    assert len(without_catalog) == 2 * len(HOSTILE) - 1
    assert all(line.endswith("is not there") for line in without_catalog)


def test_rows_that_moved_between_hash_partitions_of_one_table(cluster: Cluster, empty: Callable[[], str]) -> None:
    """An enum's hash differs from database to database, so pg_dump loads such tables through their root."""
    name = empty()
    cluster.sql(
        name,
        "CREATE TABLE parts (x integer) PARTITION BY HASH (x);"
        "CREATE TABLE a PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE b PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "CREATE TABLE ranges (x integer) PARTITION BY RANGE (x);"
        "CREATE TABLE c PARTITION OF ranges FOR VALUES FROM (0) TO (5);"
        "CREATE TABLE d PARTITION OF ranges FOR VALUES FROM (5) TO (10);"
        "INSERT INTO parts SELECT generate_series(1, 10); INSERT INTO ranges SELECT generate_series(0, 9)",
    )
    ((rows,),) = cluster.sql(name, "SELECT count(*) FROM a")
    template = "public.{}"

    def told(**counts: int) -> list[str]:
        tables = tuple(TableRecord(name=template.format(table), rows=count) for table, count in counts.items())
        return found(cluster, name, _record(tables))

    assert told(a=rows, b=10 - rows, c=5, d=5) == []
    assert told(a=10, b=0, c=5, d=5) == []
    assert len(told(a=10, b=1, c=5, d=5)) == 2
    assert len(told(a=rows, b=10 - rows, c=4, d=6)) == 2


def _record(tables: tuple[TableRecord, ...]) -> PostgresqlRecord:
    unknown: dict[str, object] = {
        "host": None,
        "port": None,
        "properties": {"owner": "x"},
        "extensions": [],
        "roles": [],
        "sequences": [],
    }
    words = ("name", "server_version", "client_version", "encoding", "collation", "ctype", "locale_provider", "dump")
    record = msgspec.convert(
        unknown
        | {"engine": "postgresql", "format": "directory", "size": 0, "large_objects": {"count": 0, "size": 0}}
        | {"tables": []}
        | dict.fromkeys(words, ""),
        PostgresqlRecord,
    )
    return msgspec.structs.replace(record, tables=tables, large_objects=LargeObjectsRecord(count=0, size=0))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("public.pupil", ("public", "pupil")),
        ('"a""b"."c.d"', ('a"b', "c.d")),
        ('public."line\nbreak"', ("public", "line\nbreak")),
        ('"日本".x', ("日本", "x")),
        ("Public.x", None),
        ('public.""', None),
        ('public."a"b"', None),
        ("public.x ", None),
        ("public.x\n", None),
        ("oid 16384", None),
    ],
)
def test_names(text: str, name: tuple[str, str] | None) -> None:
    assert parse_name(text) == name
