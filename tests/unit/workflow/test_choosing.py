"""Which archive is meant by a pattern or a time, and what is said when the newest one is damaged."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.errors import ArchiveDamaged, ArchiveUnknown, DestinationFailed, Interrupted, UsageError
from runner.events import Event, StageStarted
from runner.messages import msg
from runner.model.profile import Profile, Variant
from runner.state import ProfileState
from runner.workflow.archives import MOST_TRIED, Found, damaged, find_archive, newest_good, opened_archive
from runner.workflow.catalogue import Listed, Mark, list_archives
from runner.workflow.choosing import Wanted, choose
from tests.unit.workflow.small_archives import NOW, days_ago, profile_over, write_archive
from tests.unit.workflow.test_catalogue import legacy

DAYS = (2, 9, 20, 50)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def profile(tmp_path: Path, out: Path) -> Profile:
    """Four archives of its own, and newer ones that are never taken unasked."""
    write_archive(out / "app_future.zip", **days_ago(-1))
    write_archive(out / "app_foreign.zip", **days_ago(1), instance="elsewhere")
    for days in DAYS:
        write_archive(out / f"app_{days:02d}.zip", **days_ago(days))
    return profile_over(tmp_path / "project", out)


def chosen(profile: Profile, text: str = "latest", at: datetime | None = None) -> str:
    return choose(profile, Wanted(text, at), NOW)[0].name


def break_content(path: Path) -> None:
    """One byte of a local header: the manifest is still right, and the archive is not."""
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("*", "app_02.zip"), ("app_?0.zip", "app_20.zip"), ("app_[05]*", "app_02.zip"), ("*50*", "app_50.zip")],
)
def test_a_pattern_takes_the_newest_match_of_this_instance(profile: Profile, pattern: str, name: str) -> None:
    assert chosen(profile, pattern) == name
    with opened_archive(profile, Wanted(pattern), NOW) as opened:
        assert opened.name == name


def test_what_only_others_match_is_named_and_not_taken(profile: Profile) -> None:
    for pattern in ("app_f*", "*future*"):
        with pytest.raises(ArchiveUnknown, match="of another instance or dated in the future") as raised:
            chosen(profile, pattern)
        assert "`app_future.zip`" in str(raised.value.hint)
    assert chosen(profile, "app_foreign.zip") == "app_foreign.zip"
    assert chosen(profile, "app_future.zip") == "app_future.zip"


def test_a_pattern_without_a_match_is_answered_with_the_newest(profile: Profile) -> None:
    with pytest.raises(ArchiveUnknown, match=r"no archive of `app` matches `\*\.tar`") as raised:
        chosen(profile, "*.tar")
    assert "`app_02.zip`" in str(raised.value.hint)
    assert "app_foreign.zip" not in str(raised.value.hint)


def test_case_counts_in_a_pattern_on_every_system(profile: Profile) -> None:
    with pytest.raises(ArchiveUnknown):
        chosen(profile, "APP_*")


def test_an_archive_whose_name_looks_like_a_pattern_is_taken_by_its_name(profile: Profile, out: Path) -> None:
    write_archive(out / "app_[0]*.zip", **days_ago(200))
    assert chosen(profile, "app_[0]*.zip") == "app_[0]*.zip"


def test_a_pattern_with_a_folder_means_the_newest_there(profile: Profile, out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("app_20.zip", "app_50.zip"):
        shutil.copy(out / name, elsewhere / name)
    place = find_archive(profile, Wanted(f"{elsewhere}/app_*.zip"), NOW).place
    assert isinstance(place, Listed)
    assert place.destination.locate(place.name) == str(elsewhere / "app_20.zip")
    with pytest.raises(ArchiveUnknown):
        find_archive(profile, Wanted(f"{elsewhere}/other_*.zip"), NOW)
    with pytest.raises(DestinationFailed):
        find_archive(profile, Wanted(f"{tmp_path}/nothing/app_*.zip"), NOW)
    odd = write_archive(out.parent / "odd[1].zip", **days_ago(3))
    assert find_archive(profile, Wanted(str(odd)), NOW).place == odd


@pytest.mark.parametrize(
    ("days", "name"), [(0, "app_02.zip"), (3, "app_09.zip"), (9, "app_09.zip"), (49, "app_50.zip")]
)
def test_the_newest_at_or_before_a_time(profile: Profile, days: int, name: str) -> None:
    assert chosen(profile, at=NOW - timedelta(days=days)) == name


def test_a_second_counts_and_the_offset_does_not(profile: Profile) -> None:
    made = NOW - timedelta(days=9)
    assert chosen(profile, at=made.astimezone()) == "app_09.zip"
    assert chosen(profile, at=made - timedelta(seconds=1)) == "app_20.zip"


def test_a_time_after_now_reaches_no_archive_of_the_future(profile: Profile) -> None:
    assert chosen(profile, at=NOW + timedelta(days=9)) == "app_02.zip"


def test_a_time_and_a_pattern_both_count(profile: Profile) -> None:
    assert chosen(profile, "app_[25]0.zip", NOW - timedelta(days=21)) == "app_50.zip"


def test_nothing_is_that_old(profile: Profile) -> None:
    with pytest.raises(ArchiveUnknown, match="no archive of `app` that would do was made by 2020-01-01") as raised:
        chosen(profile, at=datetime(2020, 1, 1, tzinfo=UTC))
    assert "`app_50.zip`" in str(raised.value.hint)


@pytest.mark.parametrize("by_path", [False, True])
def test_a_name_and_a_time_contradict_each_other(profile: Profile, out: Path, by_path: bool) -> None:
    wanted = Wanted(str(out / "app_09.zip") if by_path else "app_09.zip", NOW)
    with pytest.raises(UsageError, match="a time cannot choose"):
        find_archive(profile, wanted, NOW)


def test_a_legacy_archive_is_taken_by_time_or_pattern_and_that_is_said(profile: Profile, out: Path) -> None:
    legacy(out / "app_backup_20260115_110353.zip")
    listed, (warning,) = choose(profile, Wanted(at=datetime(2026, 1, 20, tzinfo=UTC)), NOW)
    assert (listed.name, warning.code) == ("app_backup_20260115_110353.zip", "archive.legacy")
    assert "there is no other" not in str(warning.message)
    assert chosen(profile, "app_backup_*") == listed.name
    assert chosen(profile) == "app_02.zip"


def test_a_destination_out_of_reach_is_a_warning_or_the_error(tmp_path: Path, out: Path) -> None:
    profile = profile_over(tmp_path / "project", out, tmp_path / "usb")
    write_archive(out / "a.zip", **days_ago(2))
    listed, (warning,) = choose(profile, Wanted("a*"), NOW)
    assert (listed.name, warning.where) == ("a.zip", str(tmp_path / "usb"))
    with pytest.raises(DestinationFailed):
        chosen(profile, "b*")
    with pytest.raises(DestinationFailed):
        chosen(profile, at=NOW - timedelta(days=3))


def test_an_older_archive_is_never_taken_for_a_damaged_one(profile: Profile, out: Path) -> None:
    (out / "app_backup_20260228_000000.zip").write_bytes(b"PK\3\4 and no more")
    for wanted in (Wanted(), Wanted("app_*"), Wanted(at=NOW)):
        listed, _ = choose(profile, wanted, NOW)
        assert listed.marks == {Mark.DAMAGED}
        with pytest.raises(ArchiveDamaged):
            opened_archive(profile, wanted, NOW).__enter__()


def test_the_newest_good_one_is_read_before_it_is_named(profile: Profile, out: Path) -> None:
    break_content(out / "app_09.zip")
    events: list[Event] = []
    (newest,) = (listed for listed in list_archives(profile, NOW).archives if listed.name == "app_02.zip")
    good = newest_good(profile, NOW, newest, events.append)
    assert good is not None
    assert good.name == "app_20.zip"
    assert [event.title.fields["name"] for event in events if isinstance(event, StageStarted)] == [
        "app_09.zip",
        "app_20.zip",
    ]
    noted = {record.archive_name: record.intact for record in ProfileState(profile.state, "app").verified()}
    assert noted == {"app_09.zip": False, "app_20.zip": True}


def test_the_search_for_a_good_one_can_be_interrupted(profile: Profile, out: Path) -> None:
    (newest,) = (listed for listed in list_archives(profile, NOW).archives if listed.name == "app_02.zip")

    def interrupt(_event: Event, /) -> None:
        raise Interrupted(msg("interrupted"))

    with pytest.raises(Interrupted):
        newest_good(profile, NOW, newest, interrupt)


def test_the_search_for_a_good_one_ends(profile: Profile, out: Path) -> None:
    for days in range(60, 60 + MOST_TRIED + 3):
        write_archive(out / f"app_{days}.zip", **days_ago(days))
    for path in out.glob("app_??.zip"):
        break_content(path)
    write_archive(out / "app_99.zip", **days_ago(400))
    (newest,) = (listed for listed in list_archives(profile, NOW).archives if listed.name == "app_02.zip")
    assert newest_good(profile, NOW, newest) is None
    assert len(list(ProfileState(profile.state, "app").verified())) == MOST_TRIED


def error() -> ArchiveDamaged:
    return ArchiveDamaged(msg("damaged"), where="there", hint=msg("as it was"))


def test_the_way_out_of_damage_names_the_newest_that_is_whole(profile: Profile, out: Path) -> None:
    found = find_archive(profile, Wanted(), NOW)
    break_content(out / "app_09.zip")
    told = damaged(profile, NOW, found, error())
    assert "`runner restore app app_20.zip`" in str(told.hint)
    assert (str(told), told.where) == ("damaged", "there")
    for path in out.glob("app_??.zip"):
        break_content(path)
    assert "none of the newest others is whole" in str(damaged(profile, NOW, found, error()).hint)


def test_what_stands_in_holds_every_half_that_is_wanted(profile: Profile, out: Path) -> None:
    write_archive(out / "app_01.zip", **days_ago(1), variant="media-only")
    (newest,) = (listed for listed in list_archives(profile, NOW).archives if listed.name == "app_02.zip")
    assert newest.variant == "full"
    whole = newest_good(profile, NOW, newest)
    assert whole is not None
    assert whole.name == "app_09.zip"
    media = newest_good(profile, NOW, newest, wanted=Variant.MEDIA_ONLY)
    assert media is not None
    assert media.name == "app_01.zip"


def test_a_whole_copy_elsewhere_comes_first(tmp_path: Path, out: Path) -> None:
    usb = tmp_path / "usb"
    usb.mkdir()
    profile = profile_over(tmp_path / "project", out, usb)
    archive = write_archive(out / "a.zip", **days_ago(2))
    (usb / "a.zip").write_bytes(archive.read_bytes())
    write_archive(out / "b.zip", **days_ago(1000))
    break_content(archive)
    listed = next(each for each in list_archives(profile, NOW).archives if each.destination.label == str(out))
    told = damaged(profile, NOW, Found(listed), error())
    assert f"`runner restore app {usb / 'a.zip'}`" in str(told.hint)


def test_a_bare_file_has_no_other(profile: Profile, tmp_path: Path) -> None:
    told = damaged(profile, NOW, Found(tmp_path / "a.zip"), error())
    assert str(told.hint) == "as it was"


def test_nothing_but_archives_of_this_instance_stands_in(profile: Profile, out: Path) -> None:
    for days in DAYS[1:]:
        (out / f"app_{days:02d}.zip").unlink()
    legacy(out / "app_backup_20260115_110353.zip")
    listed: Listed = choose(profile, Wanted(), NOW)[0]
    assert newest_good(profile, NOW, listed) is None
