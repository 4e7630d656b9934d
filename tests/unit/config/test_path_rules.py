"""Which places may not lie inside each other: the rule by itself, with the paths of Windows, and on real folders."""

from pathlib import Path, PureWindowsPath

import pytest

from runner.config.locations import located
from runner.config.path_rules import Place, conflicts
from tests.unit.config.projects import SQLITE, VALID, complaints, project

SCHOOL = PureWindowsPath(r"C:\Users\Amina\school")


def windows_conflicts(root: str, *texts: str, holds_files: bool = True) -> list[str]:
    def place(text: str) -> Place:
        return Place(("x",), text, located(text, SCHOOL), holds_files=holds_files)

    return [str(message) for _, message in conflicts(place(root), [place(text) for text in texts])]


@pytest.mark.parametrize(
    ("root", "text", "says"),
    [
        ("media", r"MEDIA\Backups", r"`MEDIA\Backups` lies inside `media.root` (`media`)"),
        ("media", "c:/users/AMINA/school/Media", "`c:/users/AMINA/school/Media` lies inside `media.root` (`media`)"),
        (r"D:\media", r"d:\Media\x\..\y", r"`d:\Media\x\..\y` lies inside `media.root` (`D:\media`)"),
        (r"data\media", "Data", r"`Data` holds `media.root` (`data\media`)"),
        (r"\\nas\school\media", r"\\NAS\School", r"`\\NAS\School` holds `media.root` (`\\nas\school\media`)"),
    ],
)
def test_windows_paths_that_overlap(root: str, text: str, says: str) -> None:
    assert windows_conflicts(root, text) == [says]


@pytest.mark.parametrize("text", ["media2", r"D:\school\media", "..\\media", r"\\nas\media", "backups"])
def test_windows_paths_that_do_not(text: str) -> None:
    assert windows_conflicts("media", text) == []


def test_a_file_holds_nothing() -> None:
    assert windows_conflicts(r"data\media", "data", holds_files=False) == []


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    try:
        (tmp_path / "backups").symlink_to(tmp_path / "media", target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    project(tmp_path, school=VALID + "media: {root: media}\n")
    assert complaints(tmp_path) == [
        "profiles/school.yml:3:36  destinations[0].path: `backups` lies inside `media.root` (`media`)"
    ]


def test_a_root_that_holds_the_project_is_one_problem(tmp_path: Path) -> None:
    project(tmp_path / "app" / "deploy", school=VALID + "media: {root: ..}\n")
    assert complaints(tmp_path / "app" / "deploy") == [
        "profiles/school.yml:4:15  media.root: `..` holds backup.yml and all that lies beside it, not uploads alone"
    ]


def test_a_place_counts_once_its_variables_are_set(tmp_path: Path) -> None:
    profile = f"version: 1\n{SQLITE}media: {{root: media}}\ndestinations: [{{type: local, path: '${{WHERE}}/x'}}]\n"
    project(tmp_path, school=profile)
    assert complaints(tmp_path) == []
    assert complaints(tmp_path, environ={"WHERE": "elsewhere"}) == []
    found = complaints(tmp_path, environ={"WHERE": str(tmp_path / "media")})
    assert found == ["profiles/school.yml:4:36  destinations[0].path: `${WHERE}/x` lies inside `media.root` (`media`)"]


def test_the_state_folder_of_the_project_counts(tmp_path: Path) -> None:
    project(tmp_path, "version: 1\nstate: media/.state\n", school=VALID + "media: {root: media}\n")
    assert complaints(tmp_path) == [
        "profiles/school.yml:4:15  media.root: `media/.state` lies inside `media.root` (`media`)"
    ]
