"""Progress that is true: what is shown is what was counted, and counting costs next to nothing."""

import io
import re
import sys
import threading
from collections.abc import Callable

import pytest

from runner.cli import progress
from runner.cli.progress import Bars, Lines
from runner.cli.settings import Settings
from runner.cli.stages import Stage, duration_text
from runner.errors import Finding
from runner.events import Logged, Noticed, StageAdvanced, StageEnded, StageStarted
from runner.messages import msg
from runner.model.plan import Action

MIB = 1 << 20


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def stage(total: int | None, clock: Clock) -> Stage:
    return Stage("add the media", total, "bytes", clock())


def test_rate_and_time_left_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    shown = stage(1000 * MIB, clock)
    assert (shown.rate_text(clock()), shown.left_text(clock()), shown.percent_text()) == ("", "", "0%")
    for second in range(60):
        shown.look(clock())
        shown.add((10 if second < 30 else 20) * MIB)
        clock.now += 1
    shown.look(clock())
    assert shown.rate_text(clock()) == "20.0 MiB/s"
    assert shown.amount_text() == "900.0 MiB of 1000.0 MiB"
    assert shown.percent_text() == "90%"
    assert shown.left_text(clock()) == "0:05"


def test_what_stands_still_has_no_rate_of_earlier_days() -> None:
    clock = Clock()
    shown = stage(100 * MIB, clock)
    shown.add(50 * MIB)
    for _ in range(30):
        shown.look(clock())
        clock.now += 1
    assert shown.rate_text(clock()) == "0 B/s"
    assert shown.left_text(clock()) == ""


@pytest.mark.parametrize("total", [None, 0, 10 * MIB])
def test_a_total_that_is_not_known_or_not_true_is_not_shown(total: int | None) -> None:
    clock = Clock()
    shown = stage(total, clock)
    shown.look(clock())
    shown.add(30 * MIB)
    clock.now += 2
    shown.look(clock())
    assert (shown.percent_text(), shown.left_text(clock())) == ("", "")
    assert (shown.amount_text(), shown.rate_text(clock())) == ("30.0 MiB", "15.0 MiB/s")


def test_a_stage_of_rows_or_files_counts_those() -> None:
    shown = Stage("check", 30_000, "files", 0.0)
    shown.add(10_000)
    assert shown.amount_text() == "10,000 of 30,000 files"
    assert shown.end_text(4.0) == "check: 10,000 files in 4.0 s (2,500 files/s)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (125, "2 min 5 s"), (3720, "1 h 2 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_counts_of_several_threads_add_up() -> None:
    lines = Lines(Settings(quiet=True))
    lines(StageStarted(Action.MEDIA, msg("media"), None))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_at_once(lambda: list(map(lines, [StageAdvanced(Action.MEDIA, 3)] * 5000)), 6)
    finally:
        sys.setswitchinterval(interval)
    assert lines._stages[Action.MEDIA].done == 6 * 5000 * 3


def run_at_once(work: Callable[[], object], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_log_says_what_was_done_in_what_time(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Settings(), clock)
    lines(StageStarted(Action.DUMP, msg("dump the database")))
    lines(StageStarted(Action.MEDIA, msg("add the media files"), 1900 * MIB))
    lines(StageAdvanced(Action.DUMP, 300 * MIB))
    lines(StageAdvanced(Action.MEDIA, 1900 * MIB))
    clock.now += 6
    lines(StageEnded(Action.MEDIA))
    clock.now += 60
    lines(StageEnded(Action.DUMP))
    lines(StageStarted(Action.SEAL, msg("write the manifest")))
    clock.now += 0.5
    lines(StageEnded(Action.SEAL))
    assert capsys.readouterr().err.splitlines() == [
        "- dump the database",
        "- add the media files",
        "- add the media files: 1.9 GiB in 6.0 s (316.7 MiB/s)",
        "- dump the database: 300.0 MiB in 1 min 6 s (4.5 MiB/s)",
        "- write the manifest",
    ]


def test_quiet_means_quiet_and_warnings_come_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(Settings(quiet=True), clock)
    lines(StageStarted(Action.DUMP, msg("dump")))
    lines(StageAdvanced(Action.DUMP, 1))
    clock.now += 60
    lines(StageEnded(Action.DUMP))
    lines(Logged(msg("told")))
    lines(Noticed(Finding("x", msg("odd"))))
    assert capsys.readouterr().err == "warning: odd\n"


def test_events_that_belong_to_nothing_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(Settings())
    lines(StageAdvanced(Action.DUMP, 1))
    lines(StageEnded(Action.DUMP))
    assert capsys.readouterr().err == ""


def test_a_stage_that_never_ended_ends_when_it_begins_again(capsys: pytest.CaptureFixture[str]) -> None:
    """As when one destination fails, and the archive is put into the next one."""
    clock = Clock()
    lines = Lines(Settings(), clock)
    lines(StageStarted(Action.PUT, msg("put it into {place}", place="a")))
    clock.now += 2
    lines(StageStarted(Action.PUT, msg("put it into {place}", place="b")))
    assert capsys.readouterr().err.splitlines() == ["- put it into a", "- put it into a: 2.0 s", "- put it into b"]


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, clock: Clock) -> str:
    """Three stages at once, as one frame."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    live = progress._live(clock)
    bars = Bars(Settings(), live)
    bars(StageStarted(Action.DUMP, msg("dump the [database]")))
    bars(StageStarted(Action.MEDIA, msg("add the media files"), 100 * MIB))
    bars(StageStarted(Action.PUT, msg("gone")))
    bars(StageEnded(Action.PUT))
    list(live.get_renderables())
    bars(StageAdvanced(Action.DUMP, 30 * MIB))
    bars(StageAdvanced(Action.MEDIA, 25 * MIB))
    clock.now += 2
    with live.console.capture() as captured:
        live.console.print(live.get_renderable())
    monkeypatch.undo()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", captured.get())


def test_stages_that_run_together_have_a_bar_each(monkeypatch: pytest.MonkeyPatch) -> None:
    dump, media = drawn(monkeypatch, 120, Clock()).splitlines()
    assert "%" not in dump
    assert "15.0 MiB/s" in dump
    assert "30.0 MiB" in dump
    assert "dump the [database]" in dump
    for word in ("25%", "0:06", "12.5 MiB/s", "25.0 MiB of 100.0 MiB", "add the media files"):
        assert word in media


def test_a_narrow_terminal_shows_what_moves_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (30, 40, 60, 89, 90):
        for line in drawn(monkeypatch, columns, Clock()).splitlines():
            assert len(line) <= columns
    _, media = drawn(monkeypatch, 40, Clock()).splitlines()
    assert "25%" in media
    assert "0:06" in media


def test_drawing_is_left_to_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """An advance draws nothing and asks no clock, however many there are."""
    clock = Clock()
    live = progress._live(clock)
    bars = Bars(Settings(), live)
    bars(StageStarted(Action.MEDIA, msg("media"), 100))

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("advance", "update", "refresh", "add_task", "get_renderables"):
        monkeypatch.setattr(live, name, never)
    for _ in range(10_000):
        bars(StageAdvanced(Action.MEDIA, 1))
    assert bars._stages[Action.MEDIA].done == 10_000
