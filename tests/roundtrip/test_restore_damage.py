"""A damaged archive is refused before anything is staged, or restored in part when a person says so."""

import json
from pathlib import Path

import pytest

from runner.archive.extract import located
from runner.archive.reader import ArchiveReader
from tests.projects import Project, postgresql_project
from tests.restores import Scene, sqlite_scene
from tests.servers.postgresql import Cluster


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return sqlite_scene(tmp_path)


def position_of(archive: Path, ending: str) -> int:
    """Where the content of the member lies whose name ends so."""
    with ArchiveReader.open(archive) as reader:
        return next(
            each.position + each.member.header_length for each in located(reader) if each.member.name.endswith(ending)
        )


def flip(archive: Path, position: int) -> None:
    content = bytearray(archive.read_bytes())
    content[position] ^= 0xFF
    archive.write_bytes(content)


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_truncated_one_is_refused_by_name(scene: Scene, cut: int) -> None:
    (archive,) = scene.project.archives()
    archive.write_bytes(archive.read_bytes()[:-cut])
    done = scene.project.run("restore", "app", archive.name, "--yes")
    assert done.returncode == 13, done.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_the_newest_good_one_is_named_and_never_taken(scene: Scene) -> None:
    (first,) = scene.project.archives()
    (scene.project.media / "reçus" / "00020.pdf").write_bytes(b"back")
    second = scene.project.apply()
    before = scene.live()
    flip(second, position_of(second, "reçus/00010.pdf") + 2)
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 13, done.stderr
    assert f"runner restore app {first.name}" in " ".join(done.stderr.split())
    assert scene.live() == before


def test_what_is_left_comes_back_when_damage_is_accepted(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    flip(archive, position_of(archive, "reçus/00020.pdf") + 2)
    done = scene.project.run("restore", "app", "--yes", "--accept-damage", "--format", "json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert any("00020.pdf" in lost for lost in told["restore"]["lost"])
    content, media = scene.live()
    assert content == scene.new[0]
    assert media.keys() == scene.new[1].keys() - {"reçus/00020.pdf".encode()}


def test_a_lost_table_is_named_and_the_others_come_back(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.create_database("damaged_school", encoding="UTF8")
    try:
        cluster.sql(name, "CREATE TABLE a AS SELECT n FROM generate_series(1, 500) n; CREATE TABLE b AS TABLE a")
        project: Project = postgresql_project(tmp_path / "project", cluster, name)
        archive = project.apply()
        with ArchiveReader.open(archive) as reader:
            record = reader.manifest.database
            assert record is not None
            (member,) = (table.member for table in record.tables if table.name == "public.b")
        assert member is not None
        flip(archive, position_of(archive, member) + 30)
        refused = project.run("restore", "app", "--yes")
        assert refused.returncode == 13, refused.stderr
        done = project.run("restore", "app", "--yes", "--accept-damage")
        assert done.returncode == 3, done.stderr
        assert "public.b" in done.stderr
        assert cluster.sql(name, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)") == [(500, 0)]
    finally:
        cluster.drop_database(name)
