"""Restores in doubt: what nobody can be sure of is left alone, and nothing goes alone or unheard."""

import errno
import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from runner.databases.sqlite.restoration import SqliteRestoration
from runner.errors import SeveralFailed
from runner.events import silent
from runner.journal import Journal, Step
from runner.model.marks import RunNames
from runner.state import ProfileState
from runner.workflow.choosing import Wanted
from runner.workflow.halves import Halves
from runner.workflow.opening import RestoreRequest
from runner.workflow.restore import restore
from tests.inside import profile_of
from tests.restores import Scene, spoken, sqlite_scene

RUN = "20260108_110353-0123abcd"


def restore_here(scene: Scene) -> None:
    now = datetime.now().astimezone()
    request = RestoreRequest(profile_of(scene.project), Wanted("latest", None), RunNames(RUN), now)
    restore(request, lambda _question: None, silent)


def crash_after_the_swap(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: Halves) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="crash"):
        patched.setattr(Halves, "_let_in", crash)
        restore_here(scene)
    assert scene.is_interrupted()


@pytest.mark.parametrize("half", ["media", "database"])
def test_recovery_does_not_pass_over_a_half_that_the_profile_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    crash_after_the_swap(scene, monkeypatch)
    path = scene.project.folder / "profiles" / "app.yml"
    whole = path.read_text("utf-8")
    lines = [line for line in whole.splitlines() if not line.startswith(f"{half}:")]
    path.write_text("\n".join(lines).replace(", references: [{table: finance_payment, column: receipt}]", ""), "utf-8")
    refused = scene.project.run("recover", "app")
    assert refused.returncode == 16, refused.stderr
    assert scene.is_interrupted()
    path.write_text(whole, "utf-8")
    assert scene.project.run("recover", "app").returncode in (0, 3)
    assert scene.live() == scene.new


def test_going_back_in_doubt_removes_no_copy_of_the_old_state(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    crash_after_the_swap(scene, monkeypatch)
    live = scene.project.folder / "school.sqlite3"
    live.unlink()
    with closing(sqlite3.connect(live)) as other, other:
        other.execute("CREATE TABLE something_else (id INTEGER)")
        other.execute("PRAGMA user_version = 7")
    doubtful = scene.live()
    assert scene.project.run("recover", "app").returncode == 16
    back = scene.project.run("recover", "app", "--back")
    assert back.returncode == 14, back.stderr
    assert scene.live() == doubtful
    (kept,) = (scene.project.folder / "backups_local").glob("db_pre_restore_*.sqlite3")
    with closing(sqlite3.connect(kept)) as copy:
        assert tuple(copy.iterdump()) == scene.old[0]
    assert scene.is_interrupted()
    # The way out that it tells.
    assert f"copy `{kept}` there" in spoken(back.stderr)
    shutil.copyfile(kept, live)
    out = scene.project.run("recover", "app", "--back")
    assert out.returncode in (0, 3), out.stderr
    assert scene.live() == scene.old
    assert not scene.is_interrupted()


def test_a_hook_that_always_fails_does_not_block_the_backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = (f"[[{sys.executable}, -c, 'raise SystemExit({code})']]" for code in (0, 5))
    scene = sqlite_scene(tmp_path, extra=f"hooks: {{before_restore: {before}, after_restore: {after}}}\n")

    def crash(*_: object) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="crash"):
        patched.setattr(Halves, "announce_swap", crash)
        patched.setattr("runner.workflow.restore._give_up", lambda *_: None)
        restore_here(scene)
    journal = ProfileState(scene.project.folder / ".runner", "app").journal_path
    assert journal.exists()
    told = scene.project.run("apply", "app")
    assert told.returncode not in (0, 3), told.stderr
    assert "after_restore" in told.stderr
    assert not journal.exists()
    assert scene.project.run("apply", "app", "--variant", "media-only").returncode == 0


def test_what_goes_wrong_in_the_way_back_does_not_hide_what_went_wrong_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (f"[[{sys.executable}, -c, 'raise SystemExit({code})']]" for code in (5, 0))
    scene = sqlite_scene(tmp_path, extra=f"hooks: {{before_restore: {before}, after_restore: {after}}}\n")
    note = Journal.note

    def full(journal: Journal, step: Step) -> None:
        if step is Step.RESUMED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        note(journal, step)

    monkeypatch.setattr(Journal, "note", full)
    with pytest.raises(SeveralFailed) as caught:
        restore_here(scene)
    told = [str(finding.message) for finding in caught.value.findings]
    assert len(told) == 2
    assert "exit code 5" in told[0]
    assert os.strerror(errno.ENOSPC) in told[1]
    assert scene.live() == scene.old


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("bug")], ids=["disk", "bug"])
def test_after_a_swap_that_was_taken_back_the_application_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    note = tmp_path / "note"
    script = tmp_path / "note.py"
    script.write_text(
        "import os, pathlib\n"
        "there = pathlib.Path('.runner/app/journal.jsonl').exists()\n"
        f"pathlib.Path({str(note)!r}).open('a').write(os.environ['RUNNER_EVENT'] + f' {{there}}\\n')\n",
        "utf-8",
    )
    command = f"[[{sys.executable}, '{script}']]"
    scene = sqlite_scene(tmp_path, extra=f"hooks: {{before_restore: {command}, after_restore: {command}}}\n")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(SqliteRestoration, "swap", fail)
    with pytest.raises(Exception, match=r"No space left|bug"):
        restore_here(scene)
    # A kill during the hook must leave the journal, so that recovery runs it again.
    assert note.read_text("utf-8") == "before_restore True\nafter_restore True\n"
    assert scene.live() == scene.old
    assert not ProfileState(scene.project.folder / ".runner", "app").journal_path.exists()


def test_an_undo_of_what_went_back_already_is_no_half_undo(scene: Scene) -> None:
    first = scene.project.run("restore", "app", "--yes", "--format", "json")
    run_id = json.loads(first.stdout)["restore"]["run_id"]
    for _ in range(2):
        assert scene.project.run("undo", "app", "--yes").returncode == 0
    assert scene.live() == scene.new
    refused = scene.project.run("undo", "app", "--to", run_id, "--yes")
    assert refused.returncode == 15, refused.stderr
    assert scene.live() == scene.new


def test_an_undo_names_the_half_that_has_no_copy(scene: Scene) -> None:
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    state = ProfileState(scene.project.folder / ".runner", "app")
    record = state.replaced()[0]
    path = scene.project.folder / ".runner" / "app" / "replaced" / f"{record.run_id}.json"
    content = json.loads(path.read_text("utf-8"))
    content["media"] = None
    path.write_text(json.dumps(content), "utf-8")
    done = scene.project.run("undo", "app", "--yes", "--format", "json")
    assert done.returncode == 3, done.stderr
    assert "undo.half" in [warning["code"] for warning in json.loads(done.stdout)["warnings"]]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_end_of_the_input_is_no_answer(scene: Scene) -> None:
    import pty

    before = scene.live()
    leader, follower = pty.openpty()
    try:
        os.write(leader, b"\x04")
        done = scene.project.run("restore", "app", before=("sh", "-c", f'exec "$@" <{os.ttyname(follower)}', "sh"))
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 15, done.stderr
    assert scene.live() == before
