"""A database is restored beside the live one: whole, with all that the live database is beside its content."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from runner.databases.base import DumpFolder, DumpScript, Offer
from runner.model.manifest import PostgresqlRecord, SettingRecord
from runner.model.marks import Side
from runner.model.profile import PostgresqlConfig
from tests.conftest import Source
from tests.roundtrip.schools import Make, School, admin_of, schools
from tests.servers.postgresql import Cluster
from tests.unit.databases.test_compare import dump


def owners(school: School) -> set[str]:
    query = """
    SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
    WHERE oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace
    UNION SELECT DISTINCT pg_get_userbyid(nspowner) FROM pg_namespace WHERE oid >= 16384
    """
    return {str(name) for (name,) in school.sql(query)}


def test_pagila_comes_back_as_superuser(make: Make, pagila: str, cluster: Cluster) -> None:
    school = make(statements="CREATE TABLE newer (x integer)", source=pagila)
    school.restore()
    assert school.content() == school.content(pagila)


@pytest.mark.parametrize("role", ["CREATEDB", "admin"])
def test_pagila_comes_back_as_an_ordinary_owners(make: Make, pagila: str, cluster: Cluster, role: str) -> None:
    school = make("CREATEDB" if role == "CREATEDB" else "", "CREATE TABLE newer (x integer)", source=pagila)
    if role == "admin":
        school.admin = admin_of(cluster)
    school.restore()
    assert owners(school) == {school.config.user}
    bare = ("--no-owner", "--no-privileges")
    assert school.content(None, *bare) == school.content(pagila, *bare)
    assert school.sql("SELECT count(*) > 0 FROM pg_statistic WHERE starelid = 'film'::regclass") == [(True,)]


def test_owners_and_privileges_of_known_roles_come_back_although_others_are_missing(make: Make) -> None:
    school = make()
    reader, gone = f"reader_{secrets.token_hex(4)}", f"gone_{secrets.token_hex(4)}"
    school.sql(f"CREATE ROLE {reader}; CREATE ROLE {gone}; GRANT SELECT ON mark TO {reader}, {gone}")
    school.sql(
        f"ALTER TABLE pupil OWNER TO {reader}; CREATE TABLE theirs (x integer); ALTER TABLE theirs OWNER TO {gone}"
    )
    school.folder, school.record = dump(school.config, school.work.with_name("again"))
    school.sql(f"DROP OWNED BY {gone}; DROP ROLE {gone}")
    assert gone in school.warnings()
    school.restore()
    query = "SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('pupil', 'theirs') ORDER BY 1"
    assert school.sql(query) == [("pupil", reader), ("theirs", "postgres")]
    assert school.sql(f"SELECT has_table_privilege('{reader}', 'mark', 'SELECT')") == [(True,)]
    school.sql(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def furnish(school: School) -> None:
    name = school.name
    school.sql(
        f"""
        ALTER DATABASE {name} SET search_path TO "$user", public, "odd ""name";
        ALTER DATABASE {name} SET work_mem TO '7MB';
        ALTER DATABASE {name} SET app.greeting TO 'it''s, "here"';
        ALTER DATABASE {name} SET default_transaction_read_only TO off;
        ALTER ROLE {school.config.user} IN DATABASE {name} SET statement_timeout TO '77s';
        ALTER DATABASE {name} CONNECTION LIMIT 7;
        REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
        GRANT CONNECT, TEMPORARY ON DATABASE {name} TO pg_monitor WITH GRANT OPTION;
        COMMENT ON DATABASE {name} IS 'the school''s';
        """,
        "postgres",
    )


@pytest.mark.parametrize("role", [None, "CREATEDB", "admin"])
def test_what_the_live_database_is_stays(make: Make, role: str | None) -> None:
    school = make(role if role != "admin" else "")
    if role == "admin":
        school.admin = admin_of(school.cluster)
    furnish(school)
    before = school.properties()
    assert ("app.greeting" in school.warnings()) is (role == "CREATEDB")
    school.restore()
    assert school.properties() == (without(before, "app.greeting") if role == "CREATEDB" else before)


def without(properties: list[tuple[object, ...]], setting: str) -> list[tuple[object, ...]]:
    ((*others, settings),) = properties
    assert isinstance(settings, list)
    return [(*others, [each for each in settings if setting not in each])]


def test_an_encoding_and_a_locale_stay(make: Make) -> None:
    school = make()
    name = school.name
    school.cluster.drop_database(name)
    school.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "postgres")
    before = school.properties()
    assert "the backup is in UTF8, the database in LATIN1" in school.warnings()
    school.restore()
    assert school.properties() == before
    assert before[0][1] == "LATIN1"


@pytest.mark.parametrize("role", [None, "CREATEDB", "admin"])
def test_into_an_empty_server(make: Make, role: str | None, tmp_path: Path) -> None:
    school = make(role if role != "admin" else "")
    if role == "admin":
        school.admin = admin_of(school.cluster)
    furnish(school)
    school.folder, school.record = dump(school.config, tmp_path / "furnished")
    before = school.properties()
    content = school.content()
    school.cluster.drop_database(school.name)
    with school.open() as restoration:
        assert not restoration.look().exists
        assert restoration.side() is Side.OLD
    assert ("app.greeting" in school.warnings()) is (role is not None)
    school.restore()
    assert school.properties() == (before if role is None else without(before, "app.greeting"))
    assert school.content() == content


def test_a_forged_manifest_gets_no_more_than_its_loader(make: Make) -> None:
    school = make("")
    school.admin = admin_of(school.cluster)
    school.cluster.drop_database(school.name)
    forged = replace_settings(school.record, "session_preload_libraries=evil")
    school.record = forged
    assert "session_preload_libraries" in school.warnings()
    school.restore()
    assert "evil" not in str(school.properties())


def replace_settings(record: PostgresqlRecord, setting: str) -> PostgresqlRecord:
    properties = msgspec.structs.replace(record.properties, settings=(SettingRecord(role=None, setting=setting),))
    return msgspec.structs.replace(record, properties=properties)


@pytest.mark.parametrize("role", [None, "CREATEDB"])
def test_a_script_comes_back(make: Make, role: str | None) -> None:
    school = make(role)
    before = school.content()
    script = school.cluster.run("pg_dump", dbname=school.name).stdout
    school.sql("DROP TABLE pupil")
    school.restore(DumpScript("db.sql", iter([script])), Offer("script", school.record, trusted=True))
    assert school.content() == before


def test_a_script_in_utf_16_comes_back(make: Make) -> None:
    school = make()
    before = school.content()
    script = school.cluster.run("pg_dump", dbname=school.name).stdout.decode().replace("\n", "\r\n")
    school.restore(DumpScript("db.sql", iter([script.encode("utf-16")])), Offer("script", school.record, trusted=True))
    assert school.content() == before


def test_damaged_tables_are_left_out(make: Make) -> None:
    school = make()
    (member,) = [table.member for table in school.record.tables if table.name == "public.pupil"]
    assert member is not None
    (school.folder / Path(member).name).unlink()
    school.restore(offer=replace(school.offer, skip_damaged=frozenset({member})))
    assert school.sql("SELECT (SELECT count(*) FROM pupil), (SELECT count(*) FROM mark)") == [(0, 2)]


def test_look_says_what_is_there(make: Make) -> None:
    school = make()
    school.sql("ANALYZE")
    with school.open() as restoration, school.cluster.connect(school.name) as session:
        session.execute("SET application_name = 'gunicorn'")
        live = restoration.look()
    assert live.exists
    assert (live.tables, live.rows) == (2, 102)
    assert live.size_bytes > 1_000_000
    assert [who for who in live.sessions if "gunicorn" in who] == list(live.sessions)
    assert len(live.sessions) == 1


def test_a_subscription_does_not_keep_the_old_database(make: Make) -> None:
    school = make()
    school.sql("CREATE SUBSCRIPTION news CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect = false)")
    school.folder, school.record = dump(school.config, school.work.with_name("subscribed"))
    assert "news" in school.warnings()
    school.restore()
    with school.open() as restoration:
        restoration.stage(DumpFolder(school.folder), school.record, school.note)
        restoration.discard(school.note)
    assert school.databases() == []
    school.sql("ALTER SUBSCRIPTION news SET (slot_name = NONE); DROP SUBSCRIPTION news")


def test_an_administrator_creates_what_only_a_superuser_may(make: Make) -> None:
    school = make("", "CREATE TABLE t (x integer)")
    school.sql("CREATE SCHEMA tools; CREATE EXTENSION pageinspect SCHEMA tools")
    school.folder, school.record = dump(replace(school.config, user="postgres"), school.work.with_name("extended"))
    school.admin = admin_of(school.cluster)
    assert "pageinspect" in school.errors(Offer("folder", school.record))
    school.restore()
    assert school.sql("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pageinspect'") == [
        ("tools",)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "client", "target"),
    [(None, None, 18), (18, 18, 18), (None, 18, None), (14, 14, 14), (14, 14, None)],
    ids=["to 18", "18 to 18", "by the programs of 18", "14 to 14", "from 14"],
)
@pytest.mark.parametrize("role", [None, "CREATEDB"])
def test_between_versions(
    cluster_of: Callable[[int | None], Cluster],
    pagila_source: Callable[[int | None], Source],
    tmp_path: Path,
    source: int | None,
    client: int | None,
    target: int | None,
    role: str | None,
) -> None:
    origin, programs = pagila_source(source), cluster_of(client).bin
    where = origin.cluster
    config = PostgresqlConfig(origin.name, where.host, where.port, where.user, tools_bin=programs)
    folder, record = dump(config, tmp_path / "dump")
    server = cluster_of(target)
    with schools(server, tmp_path) as build:
        school = build(role)
        school.folder, school.record = folder, record
        newest = max((cluster_of(client), server), key=lambda each: each.major).bin
        school.config = replace(school.config, tools_bin=newest)
        school.restore()


@pytest.mark.slow
def test_the_regression_database_comes_back(make: Make, regression: str) -> None:
    school = make(statements="SELECT 1", source=regression)
    school.restore()
    assert school.content() == school.content(regression)
