"""Locks that die with their process, leftovers that the next run removes, records that survive damage."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.errors import ExitCode, LockHeld, WorkspaceFailed, exit_code_of
from runner.model.remembered import LastBackup, Verified
from runner.state import ProfileState

HOLD = """
import sys
from pathlib import Path
from runner.state import ProfileState
state = ProfileState(Path(sys.argv[1]), "app")
with state.locked(), state.workspace("dead-run") as workspace:
    (workspace.folder / "archive.zip").write_bytes(b"half")
    for path in sys.argv[2:]:
        workspace.note_partial(Path(path))
        Path(path).write_bytes(b"half")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(state: Path, *partials: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock of `app` and has work in progress."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state), *map(str, partials)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL) if sys.platform != "win32" else process.kill()
    process.wait()


def last(name: str = "a.zip") -> LastBackup:
    return LastBackup("id", name, "2026-01-08T10:03:53+00:00", "full", 12, 300)


def verified(name: str) -> Verified:
    return Verified("id", name, "/out", "2026-01-08T10:03:53+00:00", intact=True)


def test_a_lock_held_elsewhere_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        with pytest.raises(LockHeld) as caught, ProfileState(tmp_path, "app").locked():
            pass
        assert str(other.pid) in str(caught.value)
        assert exit_code_of(caught.value) is ExitCode.LOCKED
        assert caught.value.hint is not None
        with ProfileState(tmp_path, "other").locked():
            pass


def test_the_lock_dies_with_its_process_and_leftovers_are_named_and_removed(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "out"
    out.mkdir()
    partial = out / ".app.zip.dead-run.partial"
    kept = out / "app.zip"
    kept.write_bytes(b"an archive")
    with holder(state, partial) as other:
        kill(other)
        app = ProfileState(state, "app")
        with app.locked():
            removed = app.clean_leftovers()
            assert set(removed) == {partial, state / "app" / "work" / "dead-run"}
            assert app.clean_leftovers() == []
    assert list(out.iterdir()) == [kept]
    assert list((state / "app" / "work").iterdir()) == []


def test_leftovers_of_another_profile_stay(tmp_path: Path) -> None:
    partial = tmp_path / ".app.zip.dead-run.partial"
    with holder(tmp_path / "state", partial) as other:
        kill(other)
        assert ProfileState(tmp_path / "state", "other").clean_leftovers() == []
    assert partial.exists()
    assert (tmp_path / "state" / "app" / "work" / "dead-run" / "archive.zip").exists()


def test_a_lock_is_free_again_after_its_block_and_after_an_error(tmp_path: Path) -> None:
    state = ProfileState(tmp_path, "app")
    with pytest.raises(ZeroDivisionError), state.locked():
        raise ZeroDivisionError
    for _ in range(2):
        with state.locked():
            assert (tmp_path / "app" / "lock").read_text("ascii").strip() == str(os.getpid())


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    state = ProfileState(tmp_path, "app")
    script = "import sys; print('here', flush=True); sys.stdin.read()"
    with state.locked():
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
        )
        assert child.stdout is not None
        child.stdout.readline()
    try:
        with state.locked():
            pass
    finally:
        child.communicate()


def test_a_partial_file_out_of_reach_is_removed_when_its_disk_is_back(tmp_path: Path) -> None:
    disk, away = tmp_path / "disk", tmp_path / "away"
    disk.mkdir()
    with holder(tmp_path / "state", disk / ".app.zip.partial") as other:
        kill(other)
    disk.rename(away)
    app = ProfileState(tmp_path / "state", "app")
    app.clean_leftovers()
    assert (away / ".app.zip.partial").exists()
    away.rename(disk)
    assert disk / ".app.zip.partial" in app.clean_leftovers()
    assert list(disk.iterdir()) == []
    assert list((tmp_path / "state" / "app" / "work").iterdir()) == []


def test_a_workspace_is_private_and_gone_afterwards_with_its_partial_files(tmp_path: Path) -> None:
    state = ProfileState(tmp_path / "state", "app")
    partial = tmp_path / "partial"
    with state.workspace("run") as workspace:
        (workspace.folder / "sub").mkdir()
        (workspace.folder / "sub" / "file").write_bytes(b"x")
        workspace.note_partial(partial)
        partial.write_bytes(b"x")
        if os.name != "nt":
            assert workspace.folder.stat().st_mode & 0o777 == 0o700
    assert not workspace.folder.exists()
    assert not partial.exists()


def test_a_partial_file_that_cannot_be_removed_hides_no_other_error(tmp_path: Path) -> None:
    """A destination that went away is the error; that its partial file cannot be removed now is not."""
    state = ProfileState(tmp_path / "state", "app")
    disk = tmp_path / "disk"
    disk.mkdir()
    with pytest.raises(ZeroDivisionError), state.workspace("run") as workspace:
        workspace.note_partial(disk / ".partial")
        disk.rmdir()
        disk.write_bytes(b"the mount point is a file now")
        raise ZeroDivisionError
    disk.unlink()
    disk.mkdir()
    (disk / ".partial").write_bytes(b"it is back")
    assert disk / ".partial" in state.clean_leftovers()


def test_a_record_of_partial_files_cut_short_removes_nothing_else(tmp_path: Path) -> None:
    innocent = tmp_path / "backups"
    innocent.mkdir()
    (innocent / "keep").write_bytes(b"x")
    work = tmp_path / "state" / "app" / "work" / "dead"
    work.mkdir(parents=True)
    whole = innocent / ".a.zip.dead.partial"
    whole.write_bytes(b"x")
    cut = json.dumps(str(innocent / "keep" / "more"))[:-6]
    (work / "partials.jsonl").write_text(f"{json.dumps(str(whole))}\n{cut}", "ascii")
    state = ProfileState(tmp_path / "state", "app")
    assert set(state.clean_leftovers()) == {whole, work}
    assert (innocent / "keep").exists()


@pytest.mark.parametrize("name", ["line\nbreak", "été", os.fsdecode(b"caf\xe9"), 'quote"\\'])
def test_partial_files_of_any_name_are_found_again(tmp_path: Path, name: str) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    state = ProfileState(tmp_path / "state", "app")
    partial = tmp_path / f".{name}.partial"
    with state.workspace("run") as workspace:
        workspace.note_partial(partial)
        partial.write_bytes(b"x")
    assert not partial.exists()


def test_stray_files_among_the_work_do_not_stop_a_backup(tmp_path: Path) -> None:
    """Finder, Explorer and the like put files into any folder that was looked at."""
    state = ProfileState(tmp_path, "app")
    work = tmp_path / "app" / "work"
    work.mkdir(parents=True)
    (work / ".DS_Store").write_bytes(b"x")
    (work / "dead").mkdir()
    assert set(state.clean_leftovers()) == {work / ".DS_Store", work / "dead"}


def test_a_state_folder_that_cannot_be_used_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file")
    with pytest.raises(WorkspaceFailed) as caught, ProfileState(tmp_path / "state", "app").locked():
        pass
    assert caught.value.hint is not None
    assert exit_code_of(caught.value) is ExitCode.STEP


def test_the_last_backup_is_remembered_and_damage_is_none(tmp_path: Path) -> None:
    state = ProfileState(tmp_path, "app")
    assert state.last_backup() is None
    state.remember(last("a.zip"))
    state.remember(last("b.zip"))
    assert state.last_backup() == last("b.zip")
    for damage in (b"", b"{", b'{"archive_id": 1}', b'{"archive_id": "\xe9\xff"}', b"\xff\xfe"):
        (tmp_path / "app" / "last.json").write_bytes(damage)
        assert state.last_backup() is None


def test_verifications_are_kept_in_order_and_damaged_lines_hide_no_other(tmp_path: Path) -> None:
    state = ProfileState(tmp_path, "app")
    assert state.verified() == []
    state.record_verified(verified("a.zip"))
    with (tmp_path / "app" / "verified.jsonl").open("ab") as file:
        file.write(b'not json\n{"archive_id": "\xe9"}\n\n{"archive_id": "cut short by a cra')
    state.record_verified(verified("b.zip"))
    assert [record.archive_name for record in state.verified()] == ["a.zip", "b.zip"]


def test_the_state_folder_keeps_itself_out_of_git(tmp_path: Path) -> None:
    with ProfileState(tmp_path / "state", "app").locked():
        assert (tmp_path / "state" / ".gitignore").read_text("utf-8") == "*\n"


def test_a_socket_among_the_work_is_removed_too(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such files")
    state = ProfileState(tmp_path, "app")
    with state.workspace("run") as workspace, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(workspace.folder / "s"))
    assert not workspace.folder.exists()
