"""What a run from the outside cannot hit: a signal between two instructions, an error that is a bug."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from runner.errors import Interrupted, RunnerError, SeveralFailed, StepFailed
from runner.events import Event, Noticed, silent
from runner.messages import msg
from runner.model.profile import (
    ArchiveConfig,
    Command,
    HooksConfig,
    LocalDestination,
    Profile,
    RestoreConfig,
    SafetyCopyConfig,
    SqliteConfig,
    Variant,
)
from runner.model.report import BackupReport
from runner.workflow.apply import _between_hooks
from runner.workflow.hooks import HookContext, failures_told

LEAVE = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['RUNNER_ERROR_CODE'])"


def leave(name: str) -> tuple[Command, ...]:
    return ((sys.executable, "-c", LEAVE, name),)


def context(folder: Path, hooks: HooksConfig) -> HookContext:
    profile = Profile(
        name="school",
        source=folder / "school.yml",
        instance="school",
        state=folder / ".runner",
        archive=ArchiveConfig("{timestamp}.zip"),
        destinations=(LocalDestination(folder),),
        restore=RestoreConfig((Variant.FULL,), SafetyCopyConfig(folder)),
        database=SqliteConfig(folder / "db.sqlite3"),
        hooks=hooks,
    )
    return HookContext(profile, Variant.FULL, "run")


@pytest.fixture(autouse=True)
def _interrupting() -> Iterator[None]:
    """SIGTERM raises Interrupted."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted(msg("interrupted"))

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    sys.setprofile(None)
    signal.signal(signal.SIGTERM, before)


def failing(error: BaseException) -> BackupReport:
    raise error


def interrupt_at(function: str, file: str) -> None:
    """Send SIGTERM at the next call of a function."""

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file):
            sys.setprofile(None)
            signal.raise_signal(signal.SIGTERM)

    sys.setprofile(look)


def test_a_signal_in_the_worst_moment_leaves_nothing_out(tmp_path: Path) -> None:
    """Between the failure of a backup and the hook that starts the server again."""
    hooks = HooksConfig(before_apply=leave("stopped"), after_apply=leave("started"), folder=tmp_path)
    interrupt_at("_after_failure", "apply.py")
    with pytest.raises(SeveralFailed) as caught:
        _between_hooks(lambda: failing(StepFailed(msg("failed"))), context(tmp_path, hooks), silent)
    assert [type(error) for error in caught.value.errors] == [StepFailed, Interrupted]
    assert (tmp_path / "started").read_text() == "step"


def test_after_a_bug_too_the_server_comes_back_and_somebody_is_told(tmp_path: Path) -> None:
    hooks = HooksConfig(
        before_apply=leave("stopped"), after_apply=leave("started"), on_error=leave("told"), folder=tmp_path
    )
    with pytest.raises(ZeroDivisionError):
        with failures_told(context(tmp_path, hooks), silent):
            _between_hooks(lambda: failing(ZeroDivisionError()), context(tmp_path, hooks), silent)
    assert (tmp_path / "started").read_text() == "bug"
    assert (tmp_path / "told").read_text() == "bug"


def test_a_failing_hook_does_not_hide_a_bug(tmp_path: Path) -> None:
    events: list[Event] = []
    hooks = HooksConfig(before_apply=leave("stopped"), after_apply=(("no-such-program",),), folder=tmp_path)
    with pytest.raises(ZeroDivisionError):
        _between_hooks(lambda: failing(ZeroDivisionError()), context(tmp_path, hooks), events.append)
    (noticed,) = [event.finding for event in events if isinstance(event, Noticed)]
    assert "no-such-program" in str(noticed.message)


def test_an_interruption_while_on_error_runs_is_told_beside_the_error(tmp_path: Path) -> None:
    context_ = context(tmp_path, HooksConfig(on_error=leave("told"), folder=tmp_path))
    with pytest.raises(RunnerError) as caught:
        with failures_told(context_, silent):
            interrupt_at("_run", "hooks.py")
            raise StepFailed(msg("failed"))
    assert [finding.code for finding in caught.value.findings] == ["step", "interrupted"]
    assert (tmp_path / "told").read_text() == "step"


def test_without_an_error_nobody_is_told(tmp_path: Path) -> None:
    with failures_told(context(tmp_path, HooksConfig(on_error=leave("told"), folder=tmp_path)), silent):
        pass
    assert list(tmp_path.iterdir()) == []
