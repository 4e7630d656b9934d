"""Instants for people, those that no calendar of this system has included."""

from datetime import datetime

import pytest

from runner.cli.moments import moment_text, noted_text


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
