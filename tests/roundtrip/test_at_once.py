"""The two halves of a backup at the same time: the same archive as one after the other, and an end when one fails."""

import gzip
import random
import secrets
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runner.databases.postgresql import open_capture
from runner.errors import RunnerError, SourceUnreadable, ToolFailed
from runner.events import Event, StageAdvanced, StageStarted
from runner.model.manifest import PostgresqlRecord
from runner.model.plan import Action
from runner.model.profile import PostgresqlConfig
from tests.inside import apply_here, profile_of
from tests.projects import Project, damage_of, manifest_of, postgresql_project
from tests.servers.postgresql import Cluster

TABLES = (
    "CREATE TABLE payment (id integer PRIMARY KEY, memo text);"
    "INSERT INTO payment SELECT n, repeat('tranche ' || n || ' ', 40) FROM generate_series(1, 12000) n;"
    "CREATE TABLE empty (x integer);"
    "CREATE TABLE small (x text); INSERT INTO small VALUES ('é'), (NULL), (E'\\\\.');"
    "SELECT lo_from_bytea(0, decode(repeat('00ff', 3000), 'hex'));"
)

WAITING = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'LOCK %'"


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    name = cluster.create_database(f"test_{secrets.token_hex(6)}", encoding="UTF8")
    cluster.sql(name, TABLES)
    yield name
    cluster.drop_database(name)


@pytest.fixture
def project(cluster: Cluster, name: str, tmp_path: Path) -> Project:
    """Files of every size: none, small, larger than what is read in one piece; text and noise."""
    made = postgresql_project(tmp_path / "project", cluster, name)
    noise = random.Random(3)
    for number in range(300):
        (made.media / f"{number:03d}.jpg").write_bytes(noise.randbytes(number * 37))
    (made.media / "film.mp4").write_bytes(noise.randbytes(5 << 20))
    (made.media / "list.csv").write_bytes(b"nom;prenom\n" * 300_000)
    (made.media / "deep" / "er").mkdir(parents=True)
    (made.media / "deep" / "link").symlink_to("../film.mp4")
    return made


def with_jobs(project: Project, jobs: int) -> Project:
    profile = project.folder / "profiles" / "app.yml"
    kept = [line for line in profile.read_text("utf-8").splitlines() if not line.startswith("jobs:")]
    profile.write_text("\n".join([*kept, f"jobs: {jobs}", ""]), "utf-8")
    return project


def contents(archive: Path) -> dict[str, bytes]:
    """Every member but those that name the run, the dump's files unpacked and under names without its time."""
    with zipfile.ZipFile(archive) as zipped:
        found = {}
        for member in zipped.namelist():
            content = zipped.read(member)
            stem = member.partition("/")[2] if member.startswith("db_") else member
            found[stem] = gzip.decompress(content) if stem.endswith(".gz") else content
    return {name: content for name, content in found.items() if name not in ("manifest.json", "RESTORE.txt", "toc.dat")}


def record_of(archive: Path) -> PostgresqlRecord:
    record = manifest_of(archive).database
    assert isinstance(record, PostgresqlRecord)
    return record


def test_one_lane_and_many_make_the_same_archive(project: Project) -> None:
    one = with_jobs(project, 1).apply()
    many = with_jobs(project, 4).apply()
    assert damage_of(one) == damage_of(many) == []
    assert contents(one) == contents(many)
    assert {(table.name, table.rows, table.size) for table in record_of(one).tables} == {
        (table.name, table.rows, table.size) for table in record_of(many).tables
    }
    assert record_of(one).large_objects == record_of(many).large_objects
    assert manifest_of(one).media == manifest_of(many).media
    assert project.leftovers() == []


@pytest.mark.parametrize("jobs", [1, 3])
def test_files_are_taken_while_pg_dump_runs_or_after_it(
    cluster: Cluster, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    found = []
    for while_running in (True, False):
        monkeypatch.setattr("runner.databases.postgresql.dump.READ_WHILE_RUNNING", while_running)
        config = profile_of(project).database
        assert isinstance(config, PostgresqlConfig)
        with open_capture(config, tmp_path / "work", "20260108_110353") as capture:
            parts = {part.name: b"".join(part.chunks) for part in capture.parts(gzip=True, jobs=jobs)}
            parts = {name: content for name, content in parts.items() if not name.endswith("toc.dat")}
            found.append((parts, capture.record().tables, capture.record().large_objects))
    assert found[0] == found[1]
    assert len(found[0][0]) >= 4


def test_media_that_fail_end_the_dump(cluster: Cluster, name: str, project: Project) -> None:
    """pg_dump waits for a lock that nobody gives back before the backup has ended."""

    def spoil(event: Event, /) -> None:
        film = project.media / "film.mp4"
        if isinstance(event, StageAdvanced) and event.action is Action.MEDIA and film.is_file():
            while not cluster.sql(name, f"SELECT query FROM {WAITING}"):
                pass
            film.unlink()
            film.mkdir()

    with psycopg.connect(cluster.dsn(name)) as holder:
        holder.execute("LOCK TABLE payment IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceUnreadable):
            apply_here(with_jobs(project, 2), spoil)
        assert cluster.sql(name, f"SELECT query FROM {WAITING}") == []
    assert (project.archives(), project.leftovers()) == ([], [])
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("beside", "lane", "side"))] == []


def test_a_dump_that_fails_ends_the_media(cluster: Cluster, name: str, project: Project) -> None:
    """Its server closes the door on pg_dump; the copy of the media ends at its next file."""
    reached = threading.Event()

    def report(event: Event, /) -> None:
        if isinstance(event, StageStarted) and event.action is Action.MEDIA:
            reached.set()

    def end_pg_dump() -> None:
        assert reached.wait(60)
        while not cluster.sql(name, f"SELECT pg_terminate_backend(pid) FROM {WAITING}"):
            pass

    with psycopg.connect(cluster.dsn(name)) as holder:
        holder.execute("LOCK TABLE payment IN ACCESS EXCLUSIVE MODE")
        ending = threading.Thread(target=end_pg_dump)
        ending.start()
        with pytest.raises(RunnerError) as raised:
            apply_here(with_jobs(project, 2), report)
        ending.join()
    assert isinstance(raised.value, ToolFailed)
    assert (project.archives(), project.leftovers()) == ([], [])
