"""docs/archive-format.md is enough: a reader written from it alone accepts real archives and finds every damage."""

import random
from pathlib import Path

import pytest

from tests.docs.independent_reader import Damaged, check
from tests.projects import damage_of, postgresql_project, sqlite_project
from tests.servers.postgresql import Cluster
from tests.unit.archive.test_damage import build_archive

FROZEN = sorted((Path(__file__).parent.parent / "data" / "archives").glob("*.zip"))


def test_it_reads_a_real_sqlite_archive(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project")
    (project.media / "empty").mkdir()
    (project.media / "100%41.txt").write_text("x", "utf-8")
    contents = check(project.apply().read_bytes())
    assert contents["media/empty/"] == b""
    assert contents["media/100%2541.txt"] == b"x"
    for receipt in (project.media / "reçus").iterdir():
        assert contents[f"media/reçus/{receipt.name}"] == receipt.read_bytes()


def test_it_reads_a_real_postgresql_archive(tmp_path: Path, cluster: Cluster, pagila: str) -> None:
    contents = check(postgresql_project(tmp_path / "project", cluster, pagila).apply().read_bytes())
    assert any(name.endswith("/toc.dat") for name in contents)


def test_it_finds_every_damage(tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    check(archive)
    chosen = random.Random(5)
    for bit in chosen.sample(range(len(archive) * 8), 400):
        damaged = bytearray(archive)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            check(bytes(damaged))
    for end in chosen.sample(range(len(archive)), 50):
        with pytest.raises(Damaged):
            check(archive[:end])


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.name)
def test_archives_of_every_version_are_still_read(frozen: Path) -> None:
    assert damage_of(frozen) == []
    assert check(frozen.read_bytes())


def test_there_is_a_frozen_archive_of_this_version() -> None:
    assert [path.name for path in FROZEN] == ["format-1-sqlite.zip"]
