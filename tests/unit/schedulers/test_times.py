"""When a backup is due."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.profile import Schedule
from runner.schedulers.times import cron_fault, following, previous

SCHEDULES = [
    Schedule("15 * * * *", 15),
    Schedule("0 23 * * *", 0),
    Schedule("30 2 * * sun", 30),
    Schedule("*/7 1-5 1,15 * *"),
]
MOMENTS = st.integers(1_600_000_000, 2_200_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC).astimezone()
)


@pytest.fixture
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of Paris, which changes twice a year."""
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process cannot be set here")
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@given(st.sampled_from(SCHEDULES), MOMENTS)
def test_now_lies_between_the_last_time_and_the_next(schedule: Schedule, now: datetime) -> None:
    before, after = previous(schedule, now), following(schedule, now)
    assert before <= now < after
    if schedule.minute is not None:
        assert (before.minute, after.minute) == (schedule.minute, schedule.minute)
    assert previous(schedule, after) == after
    assert following(schedule, before) == after or following(schedule, before) <= now


@pytest.mark.parametrize("second", [0, 1, 59])
def test_the_minute_itself_counts(second: int) -> None:
    now = datetime(2026, 1, 8, 23, 0, second).astimezone()
    assert previous(Schedule("0 23 * * *", 0), now) == now.replace(second=0)
    assert following(Schedule("0 23 * * *", 0), now) == now.replace(second=0) + timedelta(days=1)


@pytest.mark.usefixtures("paris")
def test_an_hour_that_the_clocks_skip_or_repeat() -> None:
    nightly = Schedule("30 2 * * *", 30)
    assert os.environ["TZ"] == "Europe/Paris"
    skipped = datetime(2026, 3, 29, 12, 0).astimezone()  # 02:00 became 03:00
    assert previous(nightly, skipped).astimezone(UTC) == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    before_it = datetime(2026, 3, 29, 0, 45, tzinfo=UTC)
    assert previous(nightly, before_it) < before_it - timedelta(hours=20)
    assert following(nightly, before_it) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    repeated = datetime(2026, 10, 25, 12, 0).astimezone()  # 03:00 became 02:00
    assert previous(nightly, repeated).astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("fields", ["0 23 * * 1-5", "*/5 * * * *", "0 0 29 2 *", "0 9 * * mon#1"])
def test_what_cron_understands(fields: str) -> None:
    assert cron_fault(fields) is None


@pytest.mark.parametrize("fields", ["61 * * * *", "0 23 31 2 *", "0 23 * * funday", "a b c d e"])
def test_what_it_does_not(fields: str) -> None:
    assert cron_fault(fields) is not None
