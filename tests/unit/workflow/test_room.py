"""Room for the archive: refused when it is certain that there is too little, and never on a guess."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from runner.errors import DestinationFailed, Refused
from runner.model.profile import LocalDestination, Variant
from runner.model.remembered import LastBackup
from runner.workflow.media import Survey
from runner.workflow.room import check_room, least_bytes
from tests.inside import apply_here, profile_of
from tests.projects import sqlite_project

LAST = LastBackup("id", "a.zip", "2026-01-08T10:03:53+00:00", "full", 9, 20, dump_bytes=7, archive_bytes=1000)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("found", "variant", "last", "least"),
    [
        (Survey(2, 900, 600), Variant.FULL, None, 600),
        (None, Variant.DB_ONLY, None, 0),
        (Survey(2, 900, 600), Variant.FULL, LAST, 600),
        (Survey(2, 900, 100), Variant.FULL, LAST, 500),
        (Survey(2, 900, 100), Variant.MEDIA_ONLY, LAST, 100),
    ],
)
def test_what_is_certain(found: Survey | None, variant: Variant, last: LastBackup | None, least: int) -> None:
    assert least_bytes(found, variant, last) == least


def test_a_backup_that_cannot_fit_is_refused_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = sqlite_project(tmp_path / "project")
    (project.media / "film.mp4").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(10 << 20, 8 << 20, 2 << 20))
    with pytest.raises(Refused, match="2 MiB are free and at least 3 MiB are needed"):
        apply_here(project)
    assert (project.archives(), project.leftovers()) == ([], [])


def test_one_destination_that_is_large_enough_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_of(sqlite_project(tmp_path / "project"))
    (only,) = profile.destinations
    large = tmp_path / "large"
    full = {only.path}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(9, 9, 0 if folder in full else 9))
    errors = check_room(profile, 5)
    assert [(type(error), error.where) for error in errors] == [(DestinationFailed, str(only.path))]
    assert check_room(replace(profile, destinations=(only, LocalDestination(large))), 5) == []
    assert check_room(profile, 0) == []
    full.add(profile.state)
    assert [type(error) for error in check_room(profile, 5)] == [Refused]
