"""Archives of the old scripts come back by the command, and the hostile among them do nothing."""

import secrets
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.projects import Project, postgresql_project
from tests.restores import Scene, postgresql_content, sqlite_scene
from tests.servers.postgresql import Cluster

PDF = b"%PDF-1.4 old receipt"


@pytest.fixture
def school(cluster: Cluster) -> Iterator[str]:
    name = cluster.create_database(f"school_{secrets.token_hex(4)}", encoding="UTF8")
    cluster.sql(name, "CREATE TABLE élève (id integer PRIMARY KEY, nom text); INSERT INTO élève VALUES (1, E'Zoé\\n;')")
    yield name
    cluster.start()
    cluster.drop_database(name)


def old_zip(folder: Path, dump: bytes, *, name: str = "db_postgres_20250108_110353.sql") -> Path:
    path = folder / "school_backup_20250108_110353.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("manifest.json", '{"project": "school", "created_at": "2025-01-08T11:03:53"}')
        zipped.writestr(name, dump)
        zipped.writestr("media/payment_receipts/benali.pdf", PDF)
    return path


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster, school: str) -> Project:
    return postgresql_project(tmp_path / "project", cluster, school)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_plain_dump_comes_back(
    project: Project, cluster: Cluster, school: str, tmp_path: Path, encoding: str
) -> None:
    text = cluster.run("pg_dump", "--no-owner", dbname=school).stdout.decode("utf-8")
    dump = text.encode("utf-8") if encoding == "utf-8" else text.replace("\n", "\r\n").encode("utf-16")
    before = postgresql_content(cluster, school)
    cluster.sql(school, "DELETE FROM élève; CREATE TABLE newer (id integer)")
    archive = old_zip(tmp_path, dump)
    refused = project.run("restore", "app", str(archive), "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "--trust-sql" in refused.stderr
    done = project.run("restore", "app", str(archive), "--yes", "--trust-sql")
    assert done.returncode == 3, done.stderr
    assert "no checksums" in done.stderr
    assert postgresql_content(cluster, school) == before
    assert [path.name for path in project.media.rglob("*.*")] == ["benali.pdf"]
    assert (project.media / "payment_receipts" / "benali.pdf").read_bytes() == PDF


@pytest.mark.parametrize(
    "line", ["\\! touch {mark}", "\\copy élève to program 'touch {mark}'", "\\i {mark}", "\\o {mark}"]
)
def test_no_command_of_psql_ever_runs(
    project: Project, cluster: Cluster, school: str, tmp_path: Path, line: str
) -> None:
    mark = tmp_path / "touched"
    dump = cluster.run("pg_dump", "--no-owner", dbname=school).stdout + f"\n{line.format(mark=mark)}\n".encode()
    before = postgresql_content(cluster, school)
    done = project.run("restore", "app", str(old_zip(tmp_path, dump)), "--yes", "--trust-sql")
    assert done.returncode == 13, done.stderr
    assert "db_postgres_20250108_110353.sql" in done.stderr
    assert not mark.exists()
    assert postgresql_content(cluster, school) == before
    assert project.leftovers() == []
    assert cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'runner\\_%'") == []


def test_a_dump_that_was_cut_short_is_refused(project: Project, cluster: Cluster, school: str, tmp_path: Path) -> None:
    dump = cluster.run("pg_dump", "--no-owner", dbname=school).stdout
    cut = dump[: dump.index(b"\\.\n")]
    before = postgresql_content(cluster, school)
    done = project.run("restore", "app", str(old_zip(tmp_path, cut)), "--yes", "--trust-sql")
    assert done.returncode == 13, done.stderr
    assert postgresql_content(cluster, school) == before


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return sqlite_scene(tmp_path)


def test_an_old_sqlite_file_comes_back(scene: Scene, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE old (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO old VALUES (7)")
    archive = old_zip(tmp_path, (tmp_path / "db.sqlite3").read_bytes(), name="db.sqlite3")
    done = scene.project.run("restore", "app", str(archive), "--yes")
    assert done.returncode == 3, done.stderr
    with closing(sqlite3.connect(scene.project.folder / "school.sqlite3")) as connection:
        assert connection.execute("SELECT id FROM old").fetchall() == [(7,)]
    assert (scene.project.media / "payment_receipts" / "benali.pdf").read_bytes() == PDF


@pytest.mark.parametrize("name", ["media/../../evil", "/evil", "C:\\evil", "media/a\\..\\..\\..\\evil"])
def test_no_name_leads_out(scene: Scene, tmp_path: Path, name: str) -> None:
    archive = old_zip(tmp_path, (scene.project.folder / "school.sqlite3").read_bytes(), name="db.sqlite3")
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr(zipfile.ZipInfo(name), b"evil")
    done = scene.project.run("restore", "app", str(archive), "--yes")
    assert done.returncode == 13, done.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []
    assert list(tmp_path.rglob("*evil*")) == []
