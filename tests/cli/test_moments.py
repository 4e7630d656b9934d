"""Instants for people, those that no calendar of this system has included."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from runner.cli.moments import moment_text, noted_text, parse_moment
from runner.errors import UsageError


def test_an_instant_is_shown_in_local_time() -> None:
    moment = datetime.fromisoformat("2026-01-08T10:03:53+00:00")
    assert moment_text(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert noted_text("2026-01-08T10:03:53+00:00") == moment_text(moment)


@pytest.mark.parametrize("instant", ["0001-01-01 00:00:00+14:00", "9999-12-31 23:59:59-14:00"])
def test_an_instant_that_has_no_local_time_is_shown_as_it_stands(instant: str) -> None:
    assert moment_text(datetime.fromisoformat(instant)) == instant


@pytest.mark.parametrize("note", ["", "yesterday", "2026-13-01"])
def test_a_note_that_is_no_instant_is_shown_as_it_stands(note: str) -> None:
    assert noted_text(note) == note


@pytest.fixture
def in_paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of this process shows Paris; it does again what it did when the test is over."""
    if sys.platform == "win32":
        pytest.skip("this system cannot change the time zone of one process")
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_paris")
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-08 09:00", "2026-01-08T08:00:00"),
        ("2026-07-08 09:00", "2026-07-08T07:00:00"),
        (" 2026-01-08T09:00:30 ", "2026-01-08T08:00:30"),
        ("2026-01-08 09:00+05:30", "2026-01-08T03:30:00"),
        ("2026-01-08T09:00Z", "2026-01-08T09:00:00"),
        ("20260108_110353", "2026-01-08T10:03:53"),
        ("2026-01-08", "2026-01-08T22:59:59.999999"),
        ("2026-03-29", "2026-03-29T21:59:59.999999"),  # 23 hours
        ("2026-10-25", "2026-10-25T22:59:59.999999"),  # 25 hours
        ("2026-10-25 02:30", "2026-10-25T00:30:00"),  # twice that day
        ("2026-10-25 02:30+01:00", "2026-10-25T01:30:00"),
        ("2026-03-29 02:30", "2026-03-29T00:30:00"),  # never that day
    ],
)
def test_a_time_is_read_as_the_clock_on_the_wall_shows_it(text: str, utc: str) -> None:
    assert parse_moment(text) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "09:00", "2026-13-01", "2026-01-08 25:00", "2026-01-08 09:00 CET", "9999-12-31", "\x1b[2J"],
)
def test_what_is_no_time_is_answered_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_moment(text)
    assert "`2026-01-08 09:00`" in str(raised.value.hint)
