"""What speaks against a restore in place is said before anything is touched."""

import secrets
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from runner.databases.base import DumpFolder
from runner.errors import IntegrityError, Refused, RunnerError
from runner.model.manifest import ExtensionRecord
from runner.model.profile import PostgresqlConfig
from tests.roundtrip.shops import SCHOOL, MakeShop, Shop, own, school_record, script_with
from tests.servers.postgresql import Cluster, find_installation, start_cluster
from tests.unit.databases.test_compare import dump


@pytest.fixture
def school(make_shop: MakeShop) -> Shop:
    return make_shop(None, SCHOOL)


def test_scripts_that_no_dump_is_are_refused_before_anything(school: Shop, tmp_path: Path) -> None:
    target = tmp_path / "touched"
    with school.restoration() as restoration:
        with pytest.raises(IntegrityError, match="psql command"):
            restoration.stage(script_with(school, f"\\! touch {target}"), school.record, school.note)
        (school.folder / "toc.dat").write_bytes((school.folder / "toc.dat").read_bytes()[:2000])
        with pytest.raises(RunnerError, match="pg_restore"):
            restoration.stage(DumpFolder(school.folder), school.record, school.note)
    assert not target.exists()
    assert all(marks.xid is None for marks in school.notes)


def test_a_dump_that_only_a_superuser_may_restore(school: Shop, cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.create_database(f"super_{secrets.token_hex(4)}")
    try:
        cluster.sql(name, "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';")
        cluster.sql(name, "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()")
        config = PostgresqlConfig(name, cluster.host, cluster.port, cluster.user, tools_bin=cluster.bin)
        folder, record = dump(config, tmp_path / "super")
    finally:
        cluster.drop_database(name)
    with school.restoration() as restoration:
        with pytest.raises(Refused, match="event trigger"):
            restoration.stage(DumpFolder(folder), record, school.note)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT 1", []),
        ("CREATE TABLE theirs (x integer)", ["belong to other roles: table theirs"]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ["belong to other roles: function f()"]),
        ("CREATE PUBLICATION p FOR ALL TABLES", ["belong to other roles: publication p"]),
        ("CREATE SCHEMA s AUTHORIZATION pg_monitor", ["belong to other roles: schema s"]),
        ("SELECT lo_create(77)", ["belong to other roles: large object 77"]),
        ("CREATE EXTENSION pg_trgm", []),
        ("CREATE EXTENSION pageinspect", []),
    ],
)
def test_what_the_preflight_finds_in_the_database(school: Shop, statement: str, told: list[str]) -> None:
    school.cluster.sql(school.config.name, statement)
    errors = school.errors()
    assert len(errors) == len(told)
    assert all(words in error for words, error in zip(told, errors, strict=True))


def test_what_the_preflight_finds_beside_it(school: Shop) -> None:
    record = msgspec.structs.replace(
        school.record,
        server_version="99.1",
        encoding="SQL_ASCII",
        extensions=tuple(
            ExtensionRecord(name=name, version="1", schema="public")
            for name in ("pageinspect", "no_such_thing", "pg_trgm", "plpgsql")
        ),
    )
    with school.cluster.connect(school.config.name):
        errors = school.errors(record)
    assert len(errors) == 4
    assert "roles are connected whose sessions this role may not end: postgres" in errors[0]
    assert "99.1" in errors[1]
    assert errors[2].endswith("may not create: no_such_thing, pageinspect")
    assert "SQL_ASCII" in errors[3]
    strange = replace(school.config, name="postgres")
    assert any("does not own" in error for error in replace(school, config=strange).errors())
    assert "does not exist" in replace(school, config=replace(school.config, name="no_such_db")).errors()[0]


def test_too_few_locks(tmp_path: Path) -> None:
    options = {"max_locks_per_transaction": "10", "max_connections": "10"}
    with start_cluster(find_installation(), options=options) as cluster:
        name = own(cluster, "app")
        config = PostgresqlConfig(name, cluster.host, cluster.port, "app", tools_bin=cluster.bin)
        shop = Shop(cluster, config, tmp_path, school_record(cluster, config, tmp_path), tmp_path)
        assert shop.errors() == []
        shop.sql(";".join(f"CREATE TABLE t{number} (x text)" for number in range(25)))
        (error,) = shop.errors()
        assert "locks, and the server has 100" in error
