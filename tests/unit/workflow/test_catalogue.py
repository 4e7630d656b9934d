"""Which archives belong to a profile, in which order, and which one is meant."""

import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from runner.errors import ArchiveUnknown, DestinationFailed
from runner.model.profile import Profile
from runner.model.remembered import Verified
from runner.state import ProfileState
from runner.workflow.catalogue import Listed, Mark, list_archives, marks_text, stored_at
from runner.workflow.choosing import Wanted, choose
from tests.unit.workflow.small_archives import NOW, days_ago, profile_over, write_archive

UNREADABLE = Path("/proc/self/mem")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def profile(tmp_path: Path, out: Path) -> Profile:
    return profile_over(tmp_path / "project", out)


@pytest.fixture
def two(tmp_path: Path, out: Path) -> Profile:
    """The same with a second destination, which is not there."""
    return profile_over(tmp_path / "project", out, tmp_path / "usb")


def names(profile: Profile) -> list[str]:
    return [listed.name for listed in list_archives(profile, NOW).archives]


def marks(profile: Profile) -> dict[str, set[Mark]]:
    return {listed.name: set(listed.marks) for listed in list_archives(profile, NOW).archives}


def latest(profile: Profile) -> Listed:
    return choose(profile, Wanted(), NOW)[0]


def legacy(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("db_postgres_20260108_110353.sql", "--\n")
    return path


def record(profile: Profile, archive: Path, *, intact: bool = True, at: str = "2026-02-02T00:00:00+00:00") -> None:
    ProfileState(profile.state, "app").record_verified(
        Verified(archive.stem, archive.name, str(archive.parent), at, intact)
    )


def test_newest_is_by_the_manifest_and_not_by_name_or_file_time(profile: Profile, out: Path) -> None:
    write_archive(out / "app_backup_20270101_000000.zip", **days_ago(9))
    write_archive(out / "renamed.zip", **days_ago(1))
    write_archive(out / "app_backup_20250101_000000.zip", **days_ago(5))
    assert names(profile) == ["renamed.zip", "app_backup_20250101_000000.zip", "app_backup_20270101_000000.zip"]


def test_archives_of_one_second_are_in_the_order_of_their_numbers(profile: Profile, out: Path) -> None:
    for suffix in ("", "-2", "-10", "-9"):
        write_archive(out / f"app_backup_20260108_110353{suffix}.zip")
    assert [name[26:-4] for name in names(profile)] == ["-10", "-9", "-2", ""]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("app_backup_20260108_110353.zip", True),
        ("app_backup_20260108_110353-2.zip", True),
        ("app_backup_20260108_110353-x.zip", False),
        ("app_backup_20260108_1103.zip", False),
        ("app_backup_20261308_110353.zip", False),
        ("app_backup_latest.zip", False),
        ("other_backup_20260108_110353.zip", False),
        ("my app_backup_20260108_110353.zip", False),
    ],
)
def test_a_damaged_file_is_of_this_profile_by_its_name(profile: Profile, out: Path, name: str, counts: bool) -> None:
    (out / name).write_bytes(b"PK\3\4 and no more")
    assert marks(profile) == ({name: {Mark.DAMAGED}} if counts else {})


def test_the_time_in_a_name_is_local(profile: Profile, out: Path) -> None:
    legacy(out / "app_backup_20260108_110353.zip")
    (listed,) = list_archives(profile, NOW).archives
    assert listed.created_at == datetime(2026, 1, 8, 11, 3, 53).astimezone()


def test_an_archive_of_another_profile_is_not_listed_whatever_its_name(profile: Profile, out: Path) -> None:
    write_archive(out / "app_backup_20260108_110353.zip", profile="other")
    legacy(out / "legacy.zip")
    (out / "notes.txt").write_text("x", "utf-8")
    (out / "app_backup_20260108_110354.zip").mkdir()
    assert names(profile) == []


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_no_claimed_time_breaks_the_list(profile: Profile, out: Path, instant: str) -> None:
    write_archive(out / "odd.zip", created_at=instant, created_at_local=instant)
    write_archive(out / "good.zip", **days_ago(1))
    assert set(names(profile)) == {"odd.zip", "good.zip"}
    assert latest(profile).name == "good.zip"


@pytest.mark.skipif(not UNREADABLE.exists(), reason="needs a file whose reading fails")
def test_one_unreadable_file_breaks_nothing(profile: Profile, out: Path) -> None:
    (out / "app_backup_20260108_110353.zip").symlink_to(UNREADABLE)
    (out / "unrelated.zip").symlink_to(UNREADABLE)
    write_archive(out / "good.zip", **days_ago(100))
    catalogue = list_archives(profile, NOW)
    assert catalogue.failed == ()
    assert marks(profile) == {"app_backup_20260108_110353.zip": {Mark.UNREADABLE}, "good.zip": set()}
    assert [str(mark) for mark in marks_text(catalogue.archives[0])] == ["cannot be read"]
    assert latest(profile).marks == {Mark.UNREADABLE}  # an older one is never taken unasked


def test_a_verification_counts_for_the_file_that_was_read(profile: Profile, out: Path) -> None:
    archive = write_archive(out / "a.zip", **days_ago(2))
    (out / "copy.zip").write_bytes(archive.read_bytes())
    record(profile, archive)
    verified = {listed.name: listed.verified_at for listed in list_archives(profile, NOW).archives}
    assert verified == {"a.zip": "2026-02-02T00:00:00+00:00", "copy.zip": None}


def test_the_last_verification_has_the_last_word(profile: Profile, out: Path) -> None:
    archive = write_archive(out / "a.zip", **days_ago(2))
    record(profile, archive)
    record(profile, archive, intact=False, at="2026-02-03T00:00:00+00:00")
    (listed,) = list_archives(profile, NOW).archives
    assert listed.verified_at is None
    assert listed.marks == {Mark.DAMAGED}


def test_latest_is_of_this_instance_and_not_of_the_future(profile: Profile, out: Path) -> None:
    write_archive(out / "foreign.zip", **days_ago(1), instance="elsewhere")
    write_archive(out / "future.zip", **days_ago(-1))
    legacy(out / "app_backup_20260228_110353.zip")
    write_archive(out / "own.zip", **days_ago(50))
    assert marks(profile) == {
        "future.zip": {Mark.FUTURE},
        "foreign.zip": {Mark.FOREIGN},
        "app_backup_20260228_110353.zip": {Mark.LEGACY},
        "own.zip": set(),
    }
    assert choose(profile, Wanted(), NOW)[1] == ()
    assert latest(profile).name == "own.zip"


def test_a_legacy_archive_is_the_latest_only_when_there_is_nothing_else(profile: Profile, out: Path) -> None:
    write_archive(out / "foreign.zip", **days_ago(1), instance="elsewhere")
    for day in ("07", "08"):
        legacy(out / f"app_backup_202601{day}_110353.zip")
    listed, (warning,) = choose(profile, Wanted(), NOW)
    assert listed.name == "app_backup_20260108_110353.zip"
    assert warning.code == "archive.legacy"


def test_nothing_to_take_says_why(profile: Profile, out: Path) -> None:
    with pytest.raises(ArchiveUnknown, match="no archive of `app` yet"):
        latest(profile)
    write_archive(out / "foreign.zip", **days_ago(1), instance="elsewhere")
    with pytest.raises(ArchiveUnknown, match="of another instance or dated in the future") as raised:
        latest(profile)
    assert "`foreign.zip`" in str(raised.value.hint)
    assert choose(profile, Wanted("foreign.zip"), NOW)[0].name == "foreign.zip"


def test_an_unknown_name_is_answered_with_the_closest_or_the_newest(profile: Profile, out: Path) -> None:
    for day in range(1, 9):
        write_archive(out / f"app_backup_2026010{day}_000000.zip", **days_ago(60 - day))
    with pytest.raises(ArchiveUnknown) as close:
        choose(profile, Wanted("app_backup_20260107_000000"), NOW)
    assert str(close.value.hint).count("`") == 2
    assert "app_backup_20260107_000000.zip" in str(close.value.hint)
    with pytest.raises(ArchiveUnknown) as far:
        choose(profile, Wanted("monday"), NOW)
    assert str(far.value.hint).count("`") == 10
    assert "app_backup_20260108_000000.zip" in str(far.value.hint)


def test_a_destination_out_of_reach_is_never_passed_over_in_silence(two: Profile, out: Path, tmp_path: Path) -> None:
    with pytest.raises(DestinationFailed):
        latest(two)
    write_archive(out / "a.zip", **days_ago(2))
    catalogue = list_archives(two, NOW)
    assert [listed.name for listed in catalogue.archives] == ["a.zip"]
    assert [error.where for error in catalogue.failed] == [str(tmp_path / "usb")]
    listed, (warning,) = choose(two, Wanted(), NOW)
    assert (listed.name, warning.where) == ("a.zip", str(tmp_path / "usb"))
    assert "a newer archive may lie there" in str(warning.hint)
    assert choose(two, Wanted("a.zip"), NOW)[1] == ()
    with pytest.raises(DestinationFailed):
        choose(two, Wanted("b.zip"), NOW)


def test_of_two_copies_the_whole_one_is_taken(two: Profile, out: Path, tmp_path: Path) -> None:
    archive = write_archive(out / "app_backup_20260108_110353.zip", created_at_local="2026-01-08T11:03:53+00:00")
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / archive.name).write_bytes(archive.read_bytes())
    record(two, archive, intact=False)
    assert [set(listed.marks) for listed in list_archives(two, NOW).archives] == [set(), {Mark.DAMAGED}]
    assert latest(two).destination.label == str(tmp_path / "usb")


def test_a_path_is_recognised_as_a_stored_archive(profile: Profile, out: Path, tmp_path: Path) -> None:
    stored = write_archive(out / "a.zip", **days_ago(2))
    elsewhere = write_archive(tmp_path / "a.zip", **days_ago(2))
    found = stored_at(profile, out / ".." / "out" / stored.name, NOW)
    assert found is not None
    assert found.destination.label == str(out)
    assert stored_at(profile, elsewhere, NOW) is None
    assert stored_at(profile, out / "missing.zip", NOW) is None
