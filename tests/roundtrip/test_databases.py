"""PostgreSQL databases that are not like most: their names, encodings, rights, settings and large objects."""

import json
import secrets
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.databases.postgresql import open_capture
from runner.errors import StepFailed
from runner.model.manifest import PostgresqlRecord
from runner.model.profile import PostgresqlConfig, Reference
from tests.projects import Project, damage_of, make_project, manifest_of
from tests.roundtrip.test_faults import stand_in
from tests.servers.postgresql import Cluster, find_installation, start_cluster

RECEIPT = "references: [{table: payment, column: receipt}]"


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """A fresh, empty database."""
    name = cluster.create_database(f"test_{secrets.token_hex(6)}", encoding="UTF8")
    yield name
    cluster.start()
    cluster.drop_database(name)


def project_over(folder: Path, cluster: Cluster, name: str, *, extra: str = "", media: str = "") -> Project:
    """A profile over a database; `extra` goes into its `database` part."""
    quoted = "'" + name.replace("'", "''") + "'"
    database = (
        f"engine: postgresql, host: {cluster.host}, port: {cluster.port}, name: {quoted}, user: {cluster.user}, "
        f"tools: {{bin: '{cluster.bin.as_posix()}'}}{extra}"
    )
    project = make_project(folder, database, media=media and f", {media}")
    (project.media / "file.txt").write_bytes(b"a file")
    return project


def record_of(archive: Path) -> PostgresqlRecord:
    assert damage_of(archive) == []
    record = manifest_of(archive).database
    assert isinstance(record, PostgresqlRecord)
    return record


def result(project: Project, **environment: str) -> dict[str, Any]:
    done = project.run("apply", "app", "--format", "json", environment=environment)
    assert "Traceback" not in done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def restore(cluster: Cluster, archive: Path, folder: Path, name: str) -> None:
    """Into the new, empty database `name`, by the standard tools."""
    record = record_of(archive)
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder, [each for each in zipped.namelist() if each.startswith("db_")])
    if record.format == "plain":
        cluster.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(folder / record.dump), dbname=name)
    else:
        cluster.run("pg_restore", "--exit-on-error", "--dbname=", str(folder / record.dump), dbname=name)


ODD_NAMES = (
    'plain', 'With Space', 'dotted.name', 'quo"te', "apos'trophe", 'UPPER', 'élève', 'semi;colon', 'back\\slash',
    'line\nbreak', 'select', '$dollar$', '-dash', 'tab\t', '日本', 'a' * 63,
)  # fmt: skip


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("dump_format", ["directory", "plain"])
def test_names_of_every_kind(cluster: Cluster, tmp_path: Path, dump_format: str) -> None:
    database = f"odd \"db\" 'é' {secrets.token_hex(4)}"
    restored = f"restored_{secrets.token_hex(4)}"
    cluster.create_database(database, encoding="UTF8")
    cluster.create_database(restored, encoding="UTF8")
    try:
        for number, odd in enumerate(ODD_NAMES, 1):
            schema = identifier(f"{odd[:50]} schema")
            cluster.sql(
                database,
                f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.{identifier(odd)} ({identifier(odd)} text);"
                f"INSERT INTO {schema}.{identifier(odd)} SELECT 'x' FROM generate_series(1, {number});"
                f"CREATE SEQUENCE {schema}.{identifier(odd[:50] + ' seq')};"
                f"SELECT setval(max(oid)::regclass, {number}) FROM pg_class WHERE relkind = 'S'",
            )
        project = project_over(tmp_path / "project", cluster, database, extra=f", format: {dump_format}")
        archive = project.apply()
        record = record_of(archive)
        assert record.name == database
        assert sorted(table.rows or 0 for table in record.tables) == list(range(1, len(ODD_NAMES) + 1))
        restore(cluster, archive, tmp_path / "out", restored)
        for table in record.tables:
            assert cluster.sql(restored, f"SELECT count(*) FROM {table.name}") == [(table.rows,)]
        assert len(record.sequences) == len(ODD_NAMES)
        for sequence in record.sequences:
            assert cluster.sql(restored, f"SELECT last_value, is_called FROM {sequence.name}") == [
                (sequence.last_value, sequence.is_called)
            ]
    finally:
        cluster.drop_database(database)
        cluster.drop_database(restored)


def test_tables_of_every_kind(cluster: Cluster, name: str, tmp_path: Path) -> None:
    cluster.sql(
        name,
        "CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES;"
        "CREATE TABLE empty (x integer);"
        "CREATE UNLOGGED TABLE unlogged (x integer); INSERT INTO unlogged VALUES (1);"
        "CREATE TABLE parts (x integer) PARTITION BY RANGE (x);"
        "CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);"
        "INSERT INTO parts VALUES (1), (2), (3);"
        "CREATE TABLE parent (x integer); CREATE TABLE child () INHERITS (parent);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2), (3);"
        "CREATE VIEW seen AS SELECT * FROM parts; CREATE MATERIALIZED VIEW kept AS SELECT * FROM parts;"
        "CREATE TABLE lines (x text); INSERT INTO lines VALUES (E'a\\nb\\\\.\\n'), ('\\.'), (E'\\\\.'), (NULL), ('')",
    )
    record = record_of(project_over(tmp_path / "project", cluster, name).apply())
    assert {table.name.removeprefix("public."): table.rows for table in record.tables} == {
        "bare": 2, "empty": 0, "unlogged": 1, "part_1": 3, "parent": 1, "child": 2, "lines": 5,
    }  # fmt: skip


@pytest.mark.parametrize("dump_format", ["directory", "plain"])
@pytest.mark.parametrize("major", [None, 18])
def test_large_objects(
    cluster_of: Callable[[int | None], Cluster], major: int | None, dump_format: str, tmp_path: Path
) -> None:
    cluster = cluster_of(major)
    name = cluster.create_database(f"large_{secrets.token_hex(4)}", encoding="UTF8")
    restored = cluster.create_database(f"{name}_restored", encoding="UTF8")
    try:
        cluster.sql(
            name,
            "CREATE TABLE t (x integer); SELECT lo_from_bytea(4242, decode(repeat('00ff', 50000), 'hex'));"
            "SELECT lo_from_bytea(4243, ''); SELECT lo_from_bytea(4244, 'three')",
        )
        project = project_over(tmp_path / "project", cluster, name, extra=f", format: {dump_format}")
        archive = project.apply()
        objects = record_of(archive).large_objects
        assert (objects.count, objects.size) == (3, 100_000 + 5)
        restore(cluster, archive, tmp_path / "out", restored)
        query = "SELECT oid::int, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1"
        assert cluster.sql(restored, query) == cluster.sql(name, query)

        script = '"{bin}/pg_dump" "$@"; for a; do case "$a" in --file=*) rm "${a#--file=}"/blob_4242.dat;; esac; done'
        stand_in(project, cluster, script)
        document = result(project)
        assert document["exit_code"] == 13
        assert "blob_4242.dat" in document["errors"][0]["message"]
        assert project.archives() == [archive]
    finally:
        cluster.drop_database(name)
        cluster.drop_database(restored)


@pytest.mark.parametrize("pattern", ["session", "public.session", "'*'"])
def test_excluded_rows_are_left_out_and_told(cluster: Cluster, name: str, tmp_path: Path, pattern: str) -> None:
    cluster.sql(name, "CREATE TABLE session (x text); CREATE TABLE kept (x text)")
    cluster.sql(name, "INSERT INTO session VALUES ('never-in-the-dump'); INSERT INTO kept VALUES ('in-the-dump')")
    project = project_over(tmp_path / "project", cluster, name, extra=f", exclude_table_data: [{pattern}]")
    document = result(project)
    assert (document["exit_code"], document["warnings"]) == (0, [])
    (archive,) = project.archives()
    rows = {table.name: table.rows for table in record_of(archive).tables}
    assert rows == {"public.session": None, "public.kept": None if "*" in pattern else 1}
    assert record_of(archive).exclude_table_data == (pattern.strip("'"),)
    restored = cluster.create_database(f"{name}_restored", encoding="UTF8")
    try:
        restore(cluster, archive, tmp_path / "out", restored)
        assert cluster.sql(restored, "SELECT count(*) FROM session") == [(0,)]
    finally:
        cluster.drop_database(restored)


def test_secrets_in_settings_stay_out_of_the_manifest(cluster: Cluster, name: str, tmp_path: Path) -> None:
    hidden = [
        "app.jwt_secret",
        "app.api_key",
        "app.SigningKey",
        "app.db_password",
        "app.passphrase",
        "app.token",
        "a.dsn",
    ]
    for setting in hidden:
        cluster.sql(name, f"""ALTER DATABASE {name} SET {setting} = 'never-shown'""")
    cluster.sql(name, f"ALTER DATABASE {name} SET work_mem = '8MB'; CREATE TABLE t (x integer)")
    project = project_over(tmp_path / "project", cluster, name)
    archive = project.apply()
    settings = record_of(archive).properties.settings
    assert {(each.setting.casefold(), each.redacted) for each in settings} == {
        *((f"{setting.casefold()}=", True) for setting in hidden),
        ("work_mem=8mb", False),
    }
    with zipfile.ZipFile(archive) as zipped:
        for member in ("manifest.json", "RESTORE.txt"):
            assert b"never-shown" not in zipped.read(member)


@pytest.mark.parametrize(
    ("encoding", "column", "file"),
    [
        ("SQL_ASCII", r"\x636166e92e706466", b"caf\xe9.pdf"),
        ("LATIN1", r"\x636166e92e706466", "café.pdf".encode()),
        ("UTF8", r"\x636166c3a92e706466", "café.pdf".encode()),
    ],
)
def test_references_in_every_encoding(
    cluster: Cluster, tmp_path: Path, encoding: str, column: str, file: bytes
) -> None:
    if sys.platform != "linux":
        pytest.skip("its file system takes no such names")
    name = cluster.create_database(f"encoded_{secrets.token_hex(4)}", encoding=encoding)
    try:
        cluster.sql(name, "CREATE TABLE payment (receipt text)")
        cluster.sql(name, f"INSERT INTO payment VALUES (convert_from('{column}', '{encoding}'))")
        project = project_over(tmp_path / "project", cluster, name, media=RECEIPT)
        document = result(project)
        assert document["exit_code"] == 13
        assert "is not there" in document["errors"][1]["message"]
        (project.media / file.decode("utf-8", "surrogateescape")).write_bytes(b"x")
        assert result(project)["exit_code"] == 0
        references = manifest_of(project.archives()[0]).references
        assert references is not None
        assert references.checked == 1
        config = PostgresqlConfig(name, cluster.host, cluster.port, cluster.user, tools_bin=cluster.bin)
        (tmp_path / "work").mkdir()
        with open_capture(config, tmp_path / "work", "20260108_110353") as capture:
            values = list(capture.referenced(Reference("payment", "receipt")))
            assert [value.encode("utf-8", "surrogateescape") for value in values] == [file]
            assert capture.still_referenced(Reference("payment", "receipt"), [*values, "no"]) == frozenset(values)
    finally:
        cluster.drop_database(name)


@pytest.fixture
def clerk(cluster: Cluster, name: str) -> Iterator[str]:
    """A role without any right."""
    role = f"clerk_{secrets.token_hex(4)}"
    cluster.sql("postgres", f"CREATE ROLE {role} LOGIN")
    yield role
    cluster.sql(name, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_role_that_may_not_read_is_told_what_it_lacks(
    cluster: Cluster, name: str, clerk: str, tmp_path: Path
) -> None:
    cluster.sql(name, "CREATE TABLE payment (receipt text)")
    project = project_over(tmp_path / "project", cluster, name, media=RECEIPT)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(f"user: {cluster.user}", f"user: {clerk}"), "utf-8")
    document = result(project)
    assert document["exit_code"] == 14
    assert "permission denied for table payment" in document["errors"][0]["message"]
    assert "pg_read_all_data" in document["errors"][0]["hint"]
    profile.write_text(profile.read_text("utf-8").replace(f", {RECEIPT}", ""), "utf-8")
    document = result(project)
    assert document["exit_code"] == 14
    assert "permission denied" in document["errors"][0]["message"]
    assert project.archives() == []


def test_row_security_hides_no_references(cluster: Cluster, name: str, clerk: str, tmp_path: Path) -> None:
    """pg_dump refuses such a table; where its rows are left out anyway, the check of its column must refuse it."""
    cluster.sql(
        name,
        "CREATE TABLE payment (receipt text); INSERT INTO payment VALUES ('missing.pdf');"
        f"ALTER TABLE payment ENABLE ROW LEVEL SECURITY; GRANT SELECT ON payment TO {clerk}",
    )
    project = project_over(tmp_path / "project", cluster, name, media=RECEIPT, extra=", exclude_table_data: [payment]")
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(f"user: {cluster.user}", f"user: {clerk}"), "utf-8")
    document = result(project)
    assert document["exit_code"] == 14
    assert "row-level security" in document["errors"][0]["message"]


def test_a_table_that_is_dropped_after_the_snapshot_fails_the_dump(cluster: Cluster, name: str, tmp_path: Path) -> None:
    cluster.sql(name, "CREATE TABLE goes (x integer); CREATE TABLE stays (x integer)")
    config = PostgresqlConfig(name, cluster.host, cluster.port, cluster.user, tools_bin=cluster.bin)
    with open_capture(config, tmp_path, "20260108_110353") as capture:
        cluster.sql(name, "DROP TABLE goes")
        with pytest.raises(StepFailed, match="pg_dump"):
            list(capture.parts(gzip=True))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_goes_away_before_the_dump(cluster: Cluster, name: str, tmp_path: Path) -> None:
    cluster.sql(name, "CREATE TABLE t (x integer)")
    project = project_over(tmp_path / "project", cluster, name)
    archive = project.apply()
    postmaster = (cluster.data / "postmaster.pid").read_text("ascii").split("\n", 1)[0]
    stand_in(project, cluster, f'kill -9 {postmaster}; sleep 0.5; "{{bin}}/pg_dump" "$@"')
    document = result(project)
    assert document["exit_code"] == 14
    assert "pg_dump" in document["errors"][0]["message"]
    assert (project.archives(), project.leftovers()) == ([archive], [])


def test_a_database_that_lost_most_of_its_tables_is_told(cluster: Cluster, name: str, tmp_path: Path) -> None:
    cluster.sql(name, "".join(f"CREATE TABLE t{number} (x integer);" for number in range(10)))
    project = project_over(tmp_path / "project", cluster, name)
    assert result(project)["exit_code"] == 0
    cluster.sql(name, "".join(f"DROP TABLE t{number};" for number in range(5)))
    assert result(project)["exit_code"] == 0
    cluster.sql(name, "".join(f"DROP TABLE t{number};" for number in range(5, 8)))
    document = result(project)
    assert document["exit_code"] == 3
    assert [warning["code"] for warning in document["warnings"]] == ["database.shrunk"]
    assert "2 tables; the last backup held 5" in document["warnings"][0]["message"]
    cluster.sql(name, "DROP TABLE t8, t9")
    assert [warning["code"] for warning in result(project)["warnings"]] == ["database.empty"]


def test_a_password_opens_the_door_and_is_shown_nowhere(tmp_path: Path) -> None:
    password = "Zx'9 \\q$é-never-shown"
    (tmp_path / "secret").write_text(password + "\n", "utf-8")
    ways = {
        "env": "{env: SECRET_OF_THE_TEST}",
        "file": f"{{file: '{tmp_path / 'secret'}'}}",
        "command": f"{{command: ['{sys.executable}', -c, 'print(open(\"{tmp_path / 'secret'}\").read(), end=\"\")']}}",
    }
    with start_cluster(find_installation(), password=password) as cluster:
        cluster.sql("postgres", "CREATE TABLE t (x integer)")
        project = project_over(tmp_path / "project", cluster, "postgres", extra=", password: PASSWORD")
        profile = project.folder / "profiles" / "app.yml"
        text = profile.read_text("utf-8")
        for way in ways.values():
            profile.write_text(text.replace("PASSWORD", way), "utf-8")
            done = project.run("-v", "apply", "app", environment={"SECRET_OF_THE_TEST": password, "PYTHONUTF8": "1"})
            assert done.returncode == 0, done.stderr
            assert password not in done.stdout + done.stderr
        wrong = "wrong-and-never-shown"
        profile.write_text(text.replace("PASSWORD", ways["env"]), "utf-8")
        done = project.run("-v", "apply", "app", environment={"SECRET_OF_THE_TEST": wrong})
        assert done.returncode == 14
        assert "password authentication failed" in done.stderr
        assert wrong not in done.stdout + done.stderr
    for path in project.folder.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path
    for archive in project.archives():
        with zipfile.ZipFile(archive) as zipped:
            assert all(password.encode() not in zipped.read(member) for member in zipped.namelist())


def test_the_password_is_in_no_argument_list(cluster: Cluster, name: str, tmp_path: Path) -> None:
    """What `ps` would show of pg_dump, and which variables it is given."""
    cluster.sql(name, "CREATE TABLE t (x integer)")
    project = project_over(tmp_path / "project", cluster, name, extra=", password: {env: SECRET_OF_THE_TEST}")
    noted = tmp_path / "noted"
    stand_in(
        project, cluster, f'tr "\\0" "\\n" < /proc/$$/cmdline > "{noted}"; env >> "{noted}.env"; "{{bin}}/pg_dump" "$@"'
    )
    done = project.run("apply", "app", environment={"SECRET_OF_THE_TEST": "never-shown"})
    assert done.returncode == 0, done.stderr
    assert "never-shown" not in noted.read_text("utf-8")
    assert f"--file={project.folder}" in noted.read_text("utf-8")
    environment = dict(line.partition("=")[::2] for line in Path(f"{noted}.env").read_text("utf-8").splitlines())
    assert environment["PGPASSWORD"] == "never-shown"
    assert (environment["PGDATABASE"], environment["PGPORT"]) == (name, str(cluster.port))
    listed = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=False)
    assert "never-shown" not in listed.stdout
