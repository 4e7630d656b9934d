"""The archive that a person means, opened; and what a disk that fails does to its verification."""

import io
from pathlib import Path

import pytest

from runner.archive.reader import ArchiveReader
from runner.errors import ArchiveDamaged, ArchiveUnknown, DestinationFailed
from runner.events import Event, StageAdvanced, StageStarted, silent
from runner.model.profile import Profile
from runner.workflow.archives import Opened, opened_archive, opened_file, verify_opened
from runner.workflow.choosing import Wanted
from tests.unit.workflow.small_archives import NOW, days_ago, profile_over, write_archive


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    (tmp_path / "out").mkdir()
    return profile_over(tmp_path / "project", tmp_path / "out")


class _FailingDisk(io.BytesIO):
    """A file on a disk that fails once `going` is set."""

    going = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.going:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_name_may_be_a_file_here(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = write_archive(tmp_path / "a.zip", **days_ago(3), host="here")
    with opened_archive(profile, Wanted("a.zip"), NOW) as opened:
        assert (opened.location, opened.listed) == ("a.zip", None)
    write_archive(tmp_path / "out" / here.name, **days_ago(3), host="there")
    with opened_archive(profile, Wanted("a.zip"), NOW) as opened:
        assert opened.reader is not None
        assert opened.reader.manifest.host == "there"
    (tmp_path / "latest").write_bytes(b"x")
    with opened_archive(profile, Wanted("latest"), NOW) as opened:
        assert opened.name == "a.zip"
    with pytest.raises(ArchiveUnknown):
        opened_archive(profile, Wanted("b.zip"), NOW).__enter__()


def test_a_folder_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveUnknown, match="is not a file"):
        opened_file(tmp_path).__enter__()


def test_damage_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.zip", **days_ago(3))
    content = path.read_bytes()
    for broken in (content[:-1], content.replace(b'"host": "here"', b'"host": "hare"')):
        path.write_bytes(broken)
        with pytest.raises(ArchiveDamaged) as raised:
            opened_file(path).__enter__()
        assert raised.value.where == str(path)
        assert "runner list" in str(raised.value.hint)
        assert "zip -FF" in str(raised.value.hint)
    path.write_bytes(b"%PDF and no zip")
    with pytest.raises(ArchiveDamaged) as raised:
        opened_file(path).__enter__()
    assert "zip -FF" not in str(raised.value.hint)


def test_a_disk_that_fails_is_not_damage(tmp_path: Path) -> None:
    disk = _FailingDisk(write_archive(tmp_path / "a.zip", **days_ago(3)).read_bytes())
    opened = Opened("a.zip", "disk:a.zip", 0, disk, ArchiveReader(disk, "disk:a.zip"), None)
    assert verify_opened(opened, silent).damage == ()
    disk.going = True
    with pytest.raises(DestinationFailed, match="Input/output error") as raised:
        verify_opened(opened, silent)
    assert raised.value.where == "disk:a.zip"


def test_progress_adds_up(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.zip", **days_ago(3))
    events: list[Event] = []
    with opened_file(path) as opened:
        verify_opened(opened, events.append)
    done = sum(event.amount for event in events if isinstance(event, StageAdvanced))
    assert [event.total for event in events if isinstance(event, StageStarted)] == [done]
    assert 0 < done < path.stat().st_size
