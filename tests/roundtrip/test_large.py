"""Sizes and numbers at which the zip format changes its structures: over 4 GiB, over 65,535 members."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.projects import damage_of, manifest_of, sqlite_project
from tests.requirements import requires_program

LARGE = 4_500 << 20
MANY = 70_000


def accept_with_other_programs(archive: Path) -> None:
    for tool, options in ((("unzip",), ["-tqq"]), (("7zz", "7z"), ["t", "-bso0"])):
        subprocess.run([str(requires_program(*tool)), *options, str(archive)], check=True, capture_output=True)


@pytest.mark.slow
def test_a_sparse_file_of_more_than_4_gib_comes_back(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project", rows=20)
    with (project.media / "vidéo.bin").open("wb") as file:
        file.write(b"start")
        file.seek(LARGE - 3)
        file.write(b"end")
    archive = project.apply()
    assert damage_of(archive) == []
    media = manifest_of(archive).media
    assert media is not None
    assert media.bytes > LARGE
    digest = hashlib.sha256()
    with zipfile.ZipFile(archive) as opened, opened.open("media/vidéo.bin") as member:
        while chunk := member.read(8 << 20):
            digest.update(chunk)
    expected = hashlib.sha256(b"start" + b"\0" * (LARGE - 8))
    expected.update(b"end")
    assert digest.hexdigest() == expected.hexdigest()
    accept_with_other_programs(archive)


@pytest.mark.parametrize("count", [3_000, pytest.param(MANY, marks=pytest.mark.slow)])
def test_many_small_files_come_back(tmp_path: Path, count: int) -> None:
    project = sqlite_project(tmp_path / "project", rows=20)
    for number in range(count):
        folder = project.media / f"{number // 1000:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(str(number), "ascii")
    archive = project.apply()
    assert damage_of(archive) == []
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert len(names) > count
        for number in range(0, count, 997):
            assert opened.read(f"media/{number // 1000:03d}/{number}.txt") == str(number).encode()
    if count > 65_535:
        accept_with_other_programs(archive)
