"""The main promise: a real database into one proven zip, and back with standard tools alone, as RESTORE.txt says."""

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.archive.restore_text import commands_of
from runner.model.manifest import PostgresqlRecord
from tests.projects import damage_of, manifest_of, postgresql_project, sqlite_project
from tests.requirements import requires_program
from tests.servers.postgresql import Cluster, find_installation, start_cluster

# The regression database differs from its restored copy in nothing but pg_dump's own \restrict keys: it is a restored
# dump itself, so the few lines that PostgreSQL deparses otherwise the first time have settled.
KNOWN_DIFFERENCES = ("\\restrict ", "\\unrestrict ")


def run_by_hand(archive: Path, folder: Path, cluster: Cluster) -> None:
    """Copy the archive into an empty folder and run the commands of its own RESTORE.txt there, one by one."""
    requires_program("unzip")
    folder.mkdir()
    (folder / archive.name).write_bytes(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        text = opened.read("RESTORE.txt").decode("utf-8")
    environment = {
        **os.environ,
        "PGHOST": cluster.host,
        "PGPORT": str(cluster.port),
        "PGUSER": cluster.user,
        "PATH": f"{cluster.bin}{os.pathsep}{os.environ['PATH']}",
    }
    script = ""
    for command in commands_of(text):
        # "One that exists already is reported and no harm", says the text of the roles; everything else must succeed.
        script += command + (" || true\n" if "CREATE ROLE" in command else " || exit 9\n")
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def schema_lines(cluster: Cluster, name: str) -> list[str]:
    schema = cluster.run("pg_dump", "--schema-only", dbname=name).stdout.decode("utf-8")
    return [line for line in schema.splitlines() if not line.startswith(KNOWN_DIFFERENCES)]


def assert_same(record: PostgresqlRecord, source: tuple[Cluster, str], restored: tuple[Cluster, str]) -> None:
    """Rows per table as the manifest says, sequences and schema as the source has them."""
    cluster, name = restored
    counted = {
        table.name: cluster.sql(name, f"SELECT count(*) FROM ONLY {table.name}")[0][0] for table in record.tables
    }
    assert counted == {table.name: table.rows for table in record.tables}
    for sequence in record.sequences:
        assert cluster.sql(name, f"SELECT last_value, is_called FROM {sequence.name}") == [
            (sequence.last_value, sequence.is_called)
        ]
    assert schema_lines(*restored) == schema_lines(*source)


@pytest.mark.parametrize("database_format", ["directory", "plain"])
@pytest.mark.parametrize("database", ["pagila", "regression"])
def test_real_databases_come_back_by_hand(
    database: str, database_format: str, cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name: str = request.getfixturevalue(database)
    project = postgresql_project(tmp_path / "project", cluster, name)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace("tools:", f"format: {database_format}, tools:"), "utf-8")
    archive = project.apply()

    assert damage_of(archive) == []
    record = manifest_of(archive).database
    assert isinstance(record, PostgresqlRecord)
    with start_cluster(find_installation(cluster.major)) as spare:
        run_by_hand(archive, tmp_path / "by hand", spare)
        assert_same(record, (cluster, name), (spare, name))
        if database == "regression":
            assert record.large_objects.count == 3
            assert len(record.tables) > 500
    restored = tmp_path / "by hand" / "restored" / "media"
    for path in project.media.rglob("*.txt"):
        assert (restored / path.relative_to(project.media)).read_bytes() == path.read_bytes()


def test_a_sqlite_school_comes_back_by_hand(tmp_path: Path, cluster_of: Callable[[int | None], Cluster]) -> None:
    requires_program("unzip")
    project = sqlite_project(tmp_path / "project")
    archive = project.apply()
    assert damage_of(archive) == []
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        opened.extractall(tmp_path / "restored")
    (copy,) = (tmp_path / "restored").glob("db_sqlite_*.sqlite3")
    import sqlite3

    source, restored = sqlite3.connect(project.folder / "school.sqlite3"), sqlite3.connect(copy)
    assert list(restored.iterdump()) == list(source.iterdump())
    source.close()
    restored.close()


@pytest.mark.parametrize(
    ("program", "options"), [(("unzip",), ["-tq"]), (("7zz", "7z"), ["t", "-bso0"])], ids=["unzip", "7-zip"]
)
def test_other_programs_accept_the_archive(program: tuple[str, ...], options: list[str], tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project")
    (project.media / os.fsdecode(b"caf\xe9\\latin.txt")).write_bytes(b"not UTF-8 in its name")
    (project.media / "empty").mkdir()
    (project.media / "link").symlink_to("reçus")
    archive = project.apply()
    tool = requires_program(*program)
    done = subprocess.run([str(tool), *options, str(archive)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "WARNING" not in done.stdout.upper()
