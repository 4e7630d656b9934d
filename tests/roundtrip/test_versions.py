"""Every PostgreSQL from 14 to 18, dumped by clients of its own and of newer majors, and refused to older ones."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.model.manifest import PostgresqlRecord
from tests.conftest import Source
from tests.projects import damage_of, manifest_of, postgresql_project
from tests.roundtrip.test_by_hand import schema_lines
from tests.servers.postgresql import Cluster, find_installation

MAJORS = (14, 15, 16, 17, 18)
SAMPLE = {(14, 14), (15, 18), (18, 18)}
PAIRS = [
    pytest.param(server, client, marks=() if (server, client) in SAMPLE else pytest.mark.slow)
    for server in MAJORS
    for client in MAJORS
    if client >= server
]
OLDER = [
    pytest.param(server, client, marks=() if (server, client) == (18, 15) else pytest.mark.slow)
    for server in MAJORS
    for client in MAJORS
    if client < server
]


@pytest.mark.parametrize(("server", "client"), PAIRS)
@pytest.mark.parametrize("database_format", ["directory", "plain"])
def test_a_client_as_new_as_the_server(
    server: int,
    client: int,
    database_format: str,
    pagila_source: Callable[[int | None], Source],
    tmp_path: Path,
    cluster_of: Callable[[int | None], Cluster],
) -> None:
    cluster = cluster_of(server)
    source = pagila_source(server)
    name = source.name
    tools = find_installation(client).bin
    project = postgresql_project(tmp_path / "project", cluster, name)
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(cluster.bin.as_posix(), tools.as_posix())
    profile.write_text(text.replace("tools:", f"format: {database_format}, tools:"), "utf-8")
    archive = project.apply()

    assert damage_of(archive) == []
    record = manifest_of(archive).database
    assert isinstance(record, PostgresqlRecord)
    assert record.client_version.startswith(str(client))
    assert record.server_version.startswith(str(server))
    subprocess.run(["unzip", "-q", str(archive), "-d", str(tmp_path / "unpacked")], check=True)
    restored = cluster.create_database(f"{name}_restored", encoding="UTF8")
    try:
        restore(cluster, tools, tmp_path / "unpacked" / record.dump, restored, same=client == server)
        for table in record.tables:
            assert cluster.sql(restored, f"SELECT count(*) FROM ONLY {table.name}") == [(table.rows,)]
        assert schema_lines(cluster, restored) == schema_lines(cluster, name)
    finally:
        cluster.drop_database(restored)


def restore(cluster: Cluster, tools: Path, dump: Path, name: str, *, same: bool) -> None:
    """With pg_restore, or with psql where a newer client sets what an older server does not know."""
    environment = {**os.environ, "PGHOST": cluster.host, "PGPORT": str(cluster.port), "PGUSER": cluster.user}
    script = dump.read_bytes() if dump.is_file() else None
    if script is None and same:
        arguments = [str(tools / "pg_restore"), "--exit-on-error", f"--dbname={name}", str(dump)]
        subprocess.run(arguments, env=environment, check=True, capture_output=True)
        return
    if script is None:
        listed = subprocess.run([str(tools / "pg_restore"), "--file=-", str(dump)], check=True, capture_output=True)
        script = listed.stdout
    script = b"\n".join(line for line in script.split(b"\n") if line != b"SET transaction_timeout = 0;")
    arguments = [str(tools / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", name, "-f", "-"]
    subprocess.run(arguments, env=environment, input=script, check=True, capture_output=True)


@pytest.mark.parametrize(("server", "client"), OLDER)
def test_an_older_client_is_refused(
    server: int, client: int, cluster_of: Callable[[int | None], Cluster], tmp_path: Path
) -> None:
    cluster = cluster_of(server)
    project = postgresql_project(tmp_path / "project", cluster, "postgres")
    profile = project.folder / "profiles" / "app.yml"
    tools = find_installation(client).bin
    profile.write_text(profile.read_text("utf-8").replace(cluster.bin.as_posix(), tools.as_posix()), "utf-8")
    done = project.run("apply", "app")
    assert done.returncode == 15, done.stderr
    assert f"cannot dump a PostgreSQL {server} server" in done.stderr
    assert f"install the client programs of PostgreSQL {server}" in done.stderr
    assert (project.archives(), project.leftovers()) == ([], [])


def test_without_tools_bin_the_client_of_the_servers_major_is_found(
    cluster: Cluster, pagila: str, tmp_path: Path
) -> None:
    project = postgresql_project(tmp_path / "project", cluster, pagila)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(f", tools: {{bin: '{cluster.bin.as_posix()}'}}", ""), "utf-8")
    environment = {"PATH": f"{cluster.bin}{os.pathsep}{os.environ['PATH']}"}
    done = project.run("apply", "app", environment=environment)
    assert done.returncode == 0, done.stderr
    record = manifest_of(project.archives()[0]).database
    assert isinstance(record, PostgresqlRecord)
    assert record.client_version.startswith(str(cluster.major))


def test_a_folder_without_the_programs_is_an_error(cluster: Cluster, tmp_path: Path) -> None:
    project = postgresql_project(tmp_path / "project", cluster, "postgres")
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(cluster.bin.as_posix(), str(tmp_path)), "utf-8")
    done = project.run("apply", "app")
    assert done.returncode == 14
    assert "pg_dump and pg_restore were not found" in done.stderr
