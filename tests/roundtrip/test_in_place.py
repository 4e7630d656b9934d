"""A role that may not create databases: the content of its own one is replaced whole, or not at all."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import sql

from runner.databases.base import DumpFolder, DumpScript, Keep, Offer
from runner.databases.postgresql import occupied
from runner.databases.postgresql.in_place import InPlaceRestoration
from runner.errors import IntegrityError, Refused, RunnerError, ServerUnavailable, StepFailed
from runner.model.manifest import ExtensionRecord, PostgresqlRecord
from runner.model.marks import DatabaseMarks, PostgresqlMarks, RunNames, Side
from runner.model.profile import DatabaseConfig, PostgresqlConfig
from tests.servers.postgresql import Cluster, find_installation, start_cluster
from tests.unit.databases.test_compare import dump

RUN = "20260108_110353-0123abcd"


@dataclass(slots=True)
class Shop:
    """A database owned by an ordinary role, with a dump of it."""

    cluster: Cluster
    config: PostgresqlConfig
    folder: Path
    record: PostgresqlRecord
    work: Path
    notes: list[PostgresqlMarks] = field(default_factory=list)

    def note(self, marks: DatabaseMarks) -> None:
        assert isinstance(marks, PostgresqlMarks)
        self.notes.append(marks)

    def restoration(self, marks: PostgresqlMarks | None = None) -> InPlaceRestoration:
        return InPlaceRestoration(self.config, RunNames(RUN), marks, self.work)

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        config = self.config
        return psycopg.connect(
            host=config.host, port=config.port, user=config.user, dbname=config.name, autocommit=True
        )

    def content(self) -> bytes:
        dumped = self.cluster.run("pg_dump", dbname=self.config.name).stdout
        return b"".join(line for line in dumped.splitlines(keepends=True) if b"restrict " not in line)

    def is_open(self) -> bool:
        query = f"SELECT datallowconn FROM pg_database WHERE datname = '{self.config.name}'"
        return bool(self.cluster.sql("postgres", query)[0][0])

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description is not None else []

    def errors(self, record: PostgresqlRecord | None = None) -> list[str]:
        with self.restoration() as restoration:
            preflight = restoration.preflight(Offer("folder", record or self.record))
        return [str(error) for error in preflight.errors]


def own(cluster: Cluster, role: str) -> str:
    """A new database of `role`'s."""
    with cluster.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    return cluster.create_database(f"shop_{secrets.token_hex(4)}", encoding="UTF8", owner=role)


def drop(cluster: Cluster, name: str, role: str) -> None:
    cluster.start()
    cluster.drop_database(name)
    with cluster.connect() as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def make_shop(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[[Path | None, str], Shop]]:
    made: list[tuple[str, str]] = []

    def make(folder: Path | None, statements: str) -> Shop:
        role = f'App "{secrets.token_hex(4)}'
        name = own(cluster, role)
        made.append((name, role))
        config = PostgresqlConfig(name, cluster.host, cluster.port, role, tools_bin=cluster.bin)
        if folder is not None:
            arguments = ("--no-owner", "--exit-on-error", f"--username={role}", "--dbname=")
            cluster.run("pg_restore", *arguments, str(folder), dbname=name)
        if statements:
            with psycopg.connect(
                host=cluster.host, port=cluster.port, user=role, dbname=name, autocommit=True
            ) as connection:
                connection.execute(statements.encode())
        dumped, record = dump(config, tmp_path / name)
        (tmp_path / f"{name}.work").mkdir()
        return Shop(cluster, config, dumped, record, tmp_path / f"{name}.work")

    yield make
    for name, role in made:
        drop(cluster, name, role)


SCHOOL = """
CREATE TABLE pupil (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
INSERT INTO pupil (name) SELECT 'x' FROM generate_series(1, 100);
CREATE SCHEMA other; CREATE VIEW other.seen AS SELECT * FROM pupil;
CREATE FUNCTION count_pupils() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM pupil; END;
SELECT lo_from_bytea(4242, 'twelve bytes');
GRANT SELECT ON pupil TO pg_monitor;
"""


@pytest.fixture
def school(make_shop: Callable[[Path | None, str], Shop]) -> Shop:
    return make_shop(None, SCHOOL)


@pytest.fixture
def film_shop(cluster: Cluster, pagila: str, make_shop: Callable[[Path | None, str], Shop], tmp_path: Path) -> Shop:
    config = PostgresqlConfig(pagila, cluster.host, cluster.port, cluster.user, tools_bin=cluster.bin)
    return make_shop(dump(config, tmp_path / "pagila")[0], "")


LATER = "CREATE TABLE newer (x integer); CREATE SCHEMA s; CREATE TABLE s.t (x integer); CREATE TYPE mood AS ENUM ('a')"


@pytest.mark.parametrize("kind", ["folder", "script"])
def test_pagila_comes_back_whole(film_shop: Shop, kind: str) -> None:
    shop = film_shop
    before = shop.content()
    shop.sql(LATER + "; DELETE FROM payment; ALTER TABLE actor ADD COLUMN later integer; DROP TABLE rental CASCADE")
    kept: list[bytes] = []

    def keep(config: DatabaseConfig) -> None:
        assert config == shop.config
        kept.append(shop.content())

    changed = shop.content()
    with shop.restoration() as restoration:
        assert restoration.preflight(Offer("folder", shop.record)).errors == []
        assert (restoration.look().exists, restoration.look().sessions) == (True, ())
        source: DumpFolder | DumpScript = DumpFolder(shop.folder)
        if kind == "script":
            script = shop.cluster.run("pg_restore", "--file=-", str(shop.folder)).stdout
            assert b"OWNER TO" in script
            source = DumpScript("db.sql", iter([script]))
        restoration.stage(source, shop.record, shop.note)
        assert shop.content() == changed
        restoration.swap(shop.note, keep)
        assert restoration.side() is Side.NEW
        assert not shop.is_open()
        with pytest.raises(psycopg.OperationalError):
            shop.connect()
        with pytest.raises(StepFailed, match="replaced already"):
            restoration.swap_back(shop.note)
        restoration.open()
        assert shop.is_open()
        assert restoration.replaced() is None
        restoration.let_go(shop.note)
    assert kept == [changed]
    assert shop.content() == before
    assert list(shop.work.iterdir()) == []


def refused(
    shop: Shop,
    source: DumpFolder | DumpScript,
    record: PostgresqlRecord | None,
    error: type[RunnerError],
    keep: Keep | None = None,
) -> RunnerError:
    """A restore that fails in its swap, and changes nothing."""
    shop.sql("CREATE TABLE newer (x integer)")
    before = shop.content()
    with shop.restoration() as restoration:
        restoration.stage(source, record, shop.note)
        with pytest.raises(error) as failed:
            restoration.swap(shop.note, keep)
        assert restoration.side() is Side.OLD
        restoration.discard(shop.note)
        assert restoration.side() is Side.OLD
    assert shop.is_open()
    assert shop.content() == before
    return failed.value


def test_a_difference_takes_everything_back(school: Shop) -> None:
    tables = tuple(msgspec.structs.replace(table, rows=(table.rows or 0) + 1) for table in school.record.tables)
    error = refused(
        school, DumpFolder(school.folder), msgspec.structs.replace(school.record, tables=tables), IntegrityError
    )
    assert "has 100 rows instead of 101" in str(error)


def script_with(shop: Shop, last: str) -> DumpScript:
    script = shop.cluster.run("pg_restore", "--file=-", str(shop.folder)).stdout
    marker = b"--\n-- PostgreSQL database dump complete"
    assert marker in script
    return DumpScript("db.sql", iter([script.replace(marker, last.encode() + b"\n" + marker)]))


def test_an_error_of_the_last_statement_takes_everything_back(school: Shop) -> None:
    error = refused(school, script_with(school, "SELECT 1 / 0;"), school.record, StepFailed)
    assert "division by zero" in str(error)


def test_a_session_that_is_killed_at_the_end(school: Shop) -> None:
    refused(school, script_with(school, "SELECT pg_terminate_backend(pg_backend_pid());"), None, ServerUnavailable)


def test_a_commit_inside_the_dump(school: Shop) -> None:
    refused(school, script_with(school, "COMMIT;"), school.record, IntegrityError)


def test_a_server_that_crashes_at_the_end(school: Shop) -> None:
    crashed = threading.Event()

    def crash() -> None:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"
        while school.cluster.sql("postgres", asleep) != [(1,)]:
            time.sleep(0.1)
        school.cluster.crash()
        crashed.set()

    before = school.content()
    with school.restoration() as restoration:
        restoration.stage(script_with(school, "SELECT pg_sleep(60);"), school.record, school.note)
        thread = threading.Thread(target=crash)
        thread.start()
        with pytest.raises(ServerUnavailable):
            restoration.swap(school.note, None)
        thread.join()
        assert crashed.is_set()
        with pytest.raises(ServerUnavailable):
            restoration.side()
    school.cluster.start()
    with school.restoration(school.notes[-1]) as recovery:
        assert not school.is_open()
        assert recovery.side() is Side.OLD
        recovery.discard(school.note)
    assert school.is_open()
    assert without_positions(school.content()) == without_positions(before)


def without_positions(content: bytes) -> list[bytes]:
    """A crash lets a sequence jump forward, whoever uses it."""
    return [line for line in content.splitlines() if b"pg_catalog.setval(" not in line]


def test_a_session_that_cannot_be_ended(school: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupied, "_END_SECONDS", 1.0)
    with school.cluster.connect(school.config.name) as superuser:
        error = refused(school, DumpFolder(school.folder), school.record, StepFailed)
        assert superuser.execute("SELECT 1").fetchall() == [(1,)]
    assert "sessions do not end: postgres" in str(error)


def test_another_process_finds_a_restore_that_was_committed(school: Shop) -> None:
    before = school.content()
    school.sql(LATER)
    with school.restoration() as restoration:
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.swap(school.note, None)
    school.cluster.crash()
    school.cluster.start()
    marks = msgspec.json.decode(msgspec.json.encode(school.notes[-1]), type=PostgresqlMarks)
    with school.restoration(marks) as recovery:
        assert recovery.side() is Side.NEW
        recovery.swap(school.note, None)
        with pytest.raises(StepFailed):
            recovery.discard(school.note)
        assert not school.is_open()
        recovery.open()
        recovery.open()
    assert school.content() == before


def test_a_transaction_that_outlives_its_client_is_ended_before_it_is_judged(school: Shop) -> None:
    ((oid,),) = school.sql("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    assert isinstance(oid, int)
    with school.cluster.connect() as other, school.connect() as orphan:
        orphan.execute("BEGIN")
        marks = replace_marks(school.restoration().marks, oid, occupied.number_of(orphan, other))
        with school.restoration(marks) as recovery:
            assert recovery.side() is Side.OLD
        with pytest.raises(psycopg.OperationalError):
            orphan.execute("COMMIT")
        orphan.close()


def replace_marks(marks: PostgresqlMarks, oid: int, number: str) -> PostgresqlMarks:
    return msgspec.structs.replace(marks, live_oid=oid, xid=number)


def test_the_number_of_a_transaction_is_never_given_again(tmp_path: Path) -> None:
    """A server that crashed gives out numbers again that nothing on its disk knew of."""
    with start_cluster(find_installation()) as cluster:
        other = cluster.connect()
        with cluster.connect() as lost:
            lost.execute("BEGIN")
            number = occupied.number_of(lost, other)
            cluster.crash()
            lost.close()
        other.close()
        cluster.start()
        with cluster.connect() as connection:
            for _ in range(20):
                connection.execute("SELECT pg_current_xact_id()")
            assert occupied.outcome_of(connection, number, None) is Side.OLD
            assert occupied.outcome_of(connection, None, None) is Side.OLD
            assert occupied.outcome_of(connection, str(int(number) + 1_000_000), None) is Side.UNCLEAR


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE late (x integer); INSERT INTO late VALUES (1)",
        "SELECT lo_put(4242, 0, 'changed')",
        "SELECT lo_create(0)",
        "CREATE FUNCTION late() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_what_no_lock_holds_off_is_noticed(school: Shop, change: str) -> None:
    shop = school

    def keep(_: DatabaseConfig) -> None:
        shop.content()
        shop.sql(change)

    with shop.restoration() as restoration:
        restoration.stage(DumpFolder(shop.folder), shop.record, shop.note)
        with pytest.raises(StepFailed, match="while its safety copy was made"):
            restoration.swap(shop.note, keep)
        assert restoration.side() is Side.OLD
    assert shop.is_open()


def test_a_safety_copy_that_fails_stops_it(school: Shop) -> None:
    def keep(_: DatabaseConfig) -> None:
        raise KeyboardInterrupt

    before = school.content()
    with school.restoration() as restoration:
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        with pytest.raises(KeyboardInterrupt):
            restoration.swap(school.note, keep)
        assert restoration.side() is Side.OLD
    assert school.is_open()
    assert school.content() == before


def test_every_row_that_a_writer_was_told_of_is_in_the_safety_copy(school: Shop) -> None:
    shop, told, stop, kept = school, list[str](), threading.Event(), list[bytes]()

    def write() -> None:
        while not stop.is_set():
            try:
                with shop.connect() as connection:
                    while not stop.is_set():
                        name = f"row-{secrets.token_hex(8)}"
                        connection.execute("INSERT INTO pupil (name) VALUES (%s)", [name])
                        told.append(name)
            except psycopg.OperationalError:
                time.sleep(0.01)

    def keep(_: DatabaseConfig) -> None:
        time.sleep(0.3)
        kept.append(shop.content())
        time.sleep(0.3)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        time.sleep(0.3)
        with shop.restoration() as restoration:
            restoration.stage(DumpFolder(shop.folder), shop.record, shop.note)
            restoration.swap(shop.note, keep)
            before_open = len(told)
            restoration.open()
        until = time.monotonic() + 10
        while len(told) < before_open + 10 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert before_open > 10
    assert len(told) >= before_open + 10
    lines = set(kept[0].decode().split())
    assert [name for name in told[:before_open] if name not in lines] == []
    now = {str(name) for (name,) in shop.sql("SELECT name FROM pupil")}
    assert set(told[before_open:]) == now - {"x"}


def test_privileges_come_back_as_far_as_roles_exist(school: Shop) -> None:
    query = "SELECT grantee::text, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'pupil'"
    before = sorted(school.cluster.sql(school.config.name, query))
    assert ("pg_monitor", "SELECT") in before
    other = (
        "SET SESSION AUTHORIZATION {}; GRANT SELECT ON TABLE public.pupil TO pg_monitor; RESET SESSION AUTHORIZATION;"
    )
    last = (
        "GRANT SELECT ON TABLE public.pupil TO nobody_at_all;"
        + other.format("postgres")
        + other.format("nobody_at_all")
    )
    source = script_with(school, last)
    with school.restoration() as restoration:
        restoration.stage(source, school.record, school.note)
        restoration.swap(school.note, None)
        restoration.open()
    assert sorted(school.cluster.sql(school.config.name, query)) == before


def test_a_table_that_could_not_be_read_is_left_out(school: Shop) -> None:
    """On purpose, and named: the rest of the dump comes back."""
    school.sql("DELETE FROM pupil; SELECT lo_unlink(4242)")
    (member,) = (table.member for table in school.record.tables if table.name == "public.pupil")
    assert member is not None
    (school.folder.parent / member).unlink()
    with school.restoration() as restoration:
        with pytest.raises(RunnerError, match="pg_restore"):
            restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.preflight(Offer("folder", school.record, skip_damaged=frozenset({member})))
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.swap(school.note, None)
        restoration.open()
        restoration.let_go(school.note)
    assert school.sql("SELECT count(*) FROM pupil") == [(0,)]
    assert school.sql("SELECT lo_get(4242)") == [(b"twelve bytes",)]
    assert list(school.work.iterdir()) == []


TRIGRAMS = "CREATE INDEX ON pupil USING gin (name {}.gin_trgm_ops)"


@pytest.mark.parametrize("administered", [False, True])
def test_extensions_of_the_role_and_of_an_administrator(
    make_shop: Callable[[Path | None, str], Shop], cluster: Cluster, tmp_path: Path, administered: bool
) -> None:
    shop = make_shop(None, SCHOOL)
    create = "CREATE EXTENSION pg_trgm SCHEMA public"
    if administered:
        cluster.sql(shop.config.name, create)
    else:
        shop.sql(create)
    shop.sql(TRIGRAMS.format("public"))
    folder, record = dump(shop.config, tmp_path / "again")
    before = shop.content()
    with shop.restoration() as restoration:
        assert restoration.preflight(Offer("folder", record)).errors == []
        restoration.stage(DumpFolder(folder), record, shop.note)
        restoration.swap(shop.note, None)
        restoration.open()
    assert shop.content() == before


@pytest.mark.slow
@pytest.mark.parametrize("major", [14, 16, 17, 18])
def test_every_version(cluster_of: Callable[[int | None], Cluster], major: int, tmp_path: Path) -> None:
    cluster = cluster_of(major)
    role = f'App "{secrets.token_hex(4)}'
    name = own(cluster, role)
    try:
        config = PostgresqlConfig(name, cluster.host, cluster.port, role, tools_bin=cluster.bin)
        shop = Shop(cluster, config, tmp_path, school_record(cluster, config, tmp_path), tmp_path / "run")
        shop.sql(SCHOOL)
        folder, record = dump(config, tmp_path / "dump")
        before = shop.content()
        shop.sql(LATER)
        with shop.restoration() as restoration:
            assert restoration.preflight(Offer("folder", record)).errors == []
            restoration.stage(DumpFolder(folder), record, shop.note)
            restoration.swap(shop.note, None)
            assert restoration.side() is Side.NEW
            restoration.open()
        assert shop.content() == before
    finally:
        drop(cluster, name, role)


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


def school_record(cluster: Cluster, config: PostgresqlConfig, folder: Path) -> PostgresqlRecord:
    return dump(config, folder / "empty")[1]
