"""A safety copy goes only when nothing rests on it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.profile import Variant
from runner.planning.safety import SafetyCopy, copies_to_remove

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)


def days_old(days: float, variant: Variant = Variant.FULL) -> SafetyCopy:
    return SafetyCopy(f"run-{days:g}", NOW - timedelta(days=days), variant=variant)


FOUR = [days_old(10), days_old(20), days_old(30), days_old(40)]


def removed(
    copies: list[SafetyCopy],
    keep_last: int = 3,
    backups: tuple[datetime, ...] = (YESTERDAY,),
    undo_target: str | None = None,
) -> list[str]:
    return [copy.run_id for copy in copies_to_remove(copies, keep_last, NOW, backups, undo_target)]


def test_older_ones_than_the_last_so_many_go_oldest_first() -> None:
    assert removed(FOUR) == ["run-40"]
    assert removed(FOUR, keep_last=1) == ["run-40", "run-30", "run-20"]
    assert removed(FOUR, keep_last=4) == []
    assert removed([], keep_last=1) == []


@pytest.mark.parametrize("keep_last", [0, -1])
def test_the_newest_stays_whatever_is_asked_for(keep_last: int) -> None:
    assert "run-10" not in removed(FOUR, keep_last)


def test_none_goes_before_a_later_backup_was_verified() -> None:
    assert removed(FOUR, keep_last=1, backups=()) == []
    assert removed(FOUR, keep_last=1, backups=(NOW - timedelta(days=35),)) == ["run-40"]
    assert removed(FOUR, keep_last=1, backups=(NOW - timedelta(days=40),)) == []


def test_a_backup_from_the_future_proves_nothing() -> None:
    assert removed(FOUR, keep_last=1, backups=(NOW + timedelta(seconds=1),)) == []


def test_what_undo_would_bring_back_stays() -> None:
    assert removed(FOUR, keep_last=1, undo_target="run-30") == ["run-40", "run-20"]


def test_none_goes_in_its_first_seven_days() -> None:
    young = [days_old(1), days_old(6.99), days_old(7)]
    assert removed(young, keep_last=1, backups=(NOW,)) == ["run-7"]


def test_a_copy_from_the_future_stays() -> None:
    ahead = replace(days_old(40), run_id="ahead", made_at=NOW + timedelta(days=40))
    assert removed([ahead, *FOUR], keep_last=1) == ["run-40", "run-30", "run-20", "run-10"]


def test_restores_of_one_half_do_not_push_out_the_other() -> None:
    halves = [*(days_old(days, Variant.DB_ONLY) for days in (10, 20, 30)), days_old(40)]
    assert removed(halves, keep_last=2) == ["run-30"]
    assert removed([*halves, days_old(15, Variant.MEDIA_ONLY)], keep_last=1) == ["run-40", "run-30", "run-20"]


COPIES = st.lists(
    st.builds(
        SafetyCopy,
        run_id=st.uuids().map(str),
        made_at=st.integers(-10, 60).map(lambda days: NOW - timedelta(days=days)),
        variant=st.sampled_from(Variant),
    ),
    max_size=12,
)
BACKUPS = st.lists(st.integers(-10, 60).map(lambda days: NOW - timedelta(days=days)), max_size=4)


@given(COPIES, st.integers(1, 5), BACKUPS, st.data())
def test_whatever_there_is_nothing_goes_that_something_rests_on(
    copies: list[SafetyCopy], keep_last: int, backups: list[datetime], data: st.DataObject
) -> None:
    target = data.draw(st.sampled_from([None, *(copy.run_id for copy in copies)]))
    gone = copies_to_remove(copies, keep_last, NOW, backups, target)
    assert gone == sorted(gone, key=lambda copy: copy.made_at)
    kept = [copy for copy in copies if copy not in gone]
    for copy in gone:
        assert copy.run_id != target
        assert NOW - copy.made_at >= timedelta(days=7)
        assert any(copy.made_at < backup <= NOW for backup in backups)
    for halves in ({Variant.FULL, Variant.DB_ONLY}, {Variant.FULL, Variant.MEDIA_ONLY}):
        holding = sorted((copy for copy in copies if copy.variant in halves), key=lambda copy: copy.made_at)
        assert all(copy in kept for copy in holding[-keep_last:])
    # A second look a moment later, at what was kept, takes nothing more.
    assert copies_to_remove(kept, keep_last, NOW, backups, target) == []
