"""Where paths lead on Windows and elsewhere, and what lies in what."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from runner.config.locations import inside, located, overlap, resolved


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("media", "/srv/school/media"),
        ("./a/../media/", "/srv/school/media"),
        ("../backups", "/srv/backups"),
        ("/mnt/backups", "/mnt/backups"),
        (".", "/srv/school"),
    ],
)
def test_located_on_posix(text: str, path: str) -> None:
    assert located(text, PurePosixPath("/srv/school")) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("media", r"C:\school\media"),
        (r".\a\..\Media", r"C:\SCHOOL\media"),
        ("../Backups", r"C:\Backups"),
        (r"D:\Backups", r"d:\backups"),
        (r"\Backups", r"C:\Backups"),
        (r"\\server\share\..\x", r"\\server\share\x"),
        ("C:/Users/Amina/OneDrive", r"c:\users\amina\onedrive"),
    ],
)
def test_located_on_windows(text: str, path: str) -> None:
    assert located(text, PureWindowsPath(r"C:\school")) == PureWindowsPath(path)


def test_inside_goes_by_whole_names() -> None:
    assert inside(PurePosixPath("/a/b"), PurePosixPath("/a"))
    assert inside(PurePosixPath("/a"), PurePosixPath("/a"))
    assert not inside(PurePosixPath("/ab"), PurePosixPath("/a"))
    assert not inside(PurePosixPath("/A/b"), PurePosixPath("/a"))
    assert inside(PureWindowsPath(r"c:\MEDIA\x"), PureWindowsPath(r"C:\media"))
    assert not inside(PureWindowsPath(r"D:\media\x"), PureWindowsPath(r"C:\media"))
    assert overlap(PurePosixPath("/a"), PurePosixPath("/a/b"))
    assert overlap(PurePosixPath("/a/b"), PurePosixPath("/a"))
    assert not overlap(PurePosixPath("/a/b"), PurePosixPath("/a/c"))


def test_two_names_of_one_folder_are_one_folder(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    try:
        link.symlink_to(real, target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    assert inside(link / "x", real)
    assert not inside(tmp_path / "x", real)
    assert resolved(link / "x") == resolved(real) / "x"


def test_what_cannot_be_resolved_stays_as_it_is(tmp_path: Path) -> None:
    assert resolved(tmp_path / "a\0b") == tmp_path / "a\0b"
    if hasattr(os, "geteuid"):
        (tmp_path / "circle").symlink_to(tmp_path / "circle")
        assert resolved(tmp_path / "circle").name == "circle"
    assert not inside(tmp_path / ("a" * 5000), tmp_path / "b")
