"""What else happens around a restore: other profiles, mounts, users, folders that are exchanged, hooks and signals."""

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from runner.events import Event, StageStarted
from runner.model.marks import RunNames
from runner.model.plan import Action
from runner.workflow.choosing import Wanted
from runner.workflow.opening import RestoreRequest
from runner.workflow.restore import restore
from tests.extract import described
from tests.inside import profile_of, restore_here
from tests.privileges import without_capabilities
from tests.projects import sqlite_project
from tests.requirements import requires_program
from tests.restores import PostgresqlScene, Scene, fresh_postgresql_scene, spoken, sqlite_scene, there_and_back
from tests.servers.postgresql import Cluster


def test_two_profiles_that_share_a_folder_may_be_restored_in_one_second(tmp_path: Path) -> None:
    extra = f"restore: {{safety_copy: {{path: '{tmp_path / 'kept'}'}}}}\n"
    scenes = [sqlite_scene(tmp_path / name, extra=extra) for name in ("one", "two")]
    with_more = scenes[1].project.media / "of the second"
    with_more.write_bytes(b"its own")
    scenes[1].old = scenes[1].live()
    for scene, suffix in zip(scenes, ("aaaaaaaa", "bbbbbbbb"), strict=True):
        names = RunNames(f"20260108_110353-{suffix}")
        now = datetime.now().astimezone()
        restore(RestoreRequest(profile_of(scene.project), Wanted(), names, now), lambda _q: None, lambda _e, /: None)
        assert scene.live() == scene.new
    for scene in scenes:
        undone = scene.project.run("undo", "app", "--yes")
        assert undone.returncode == 0, undone.stderr
        assert scene.live() == scene.old


EXCHANGE = (
    "import pathlib, shutil; m = pathlib.Path(r'{media}'); o = m.with_name('before'); m.rename(o); "
    "shutil.copytree(o, m, symlinks=True)"
)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_media_folder_that_was_exchanged_meanwhile_is_left_alone(
    tmp_path: Path, cluster: Cluster, engine: str
) -> None:
    script = tmp_path / "exchange.py"
    script.write_text(EXCHANGE.format(media=tmp_path / "project" / "media"), "utf-8")
    extra = f"hooks: {{before_restore: [[python3, '{script}']]}}\n"
    if engine == "sqlite":
        assert_given_up(sqlite_scene(tmp_path, extra=extra))
        return
    with fresh_postgresql_scene(tmp_path, cluster, extra=extra) as scene:
        assert_given_up(scene)


def assert_given_up(scene: Scene) -> None:
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 14, done.stderr
    assert "another folder has taken the place of the media root" in spoken(done.stderr)
    assert not scene.is_interrupted()
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_a_media_folder_that_is_exchanged_in_the_swap_closes_no_database(postgresql: PostgresqlScene) -> None:
    media = postgresql.project.media

    def exchange(event: Event, /) -> None:
        if isinstance(event, StageStarted) and event.action is Action.SWAP:
            media.rename(media.with_name("before"))
            media.mkdir()

    with pytest.raises(Exception, match="something else appeared there"):
        restore_here(postgresql.project, exchange)
    assert not postgresql.is_interrupted()
    assert postgresql.content() == postgresql.old[0]
    assert list(media.iterdir()) == []
    assert described(media.with_name("before")) == postgresql.old[1]
    assert postgresql.leftovers() == []


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[list[Path]]:
    """Folders that are mounted onto themselves, as volumes of a container are, when they are appended and bound."""
    requires_program("mount", only="linux")
    mounted: list[Path] = []
    yield mounted
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def bind(folder: Path, bound: list[Path]) -> None:
    done = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("only root may mount here")
    bound.append(folder)


def test_a_mounted_media_folder_goes_out_whole_and_comes_back(scene: Scene, bound: list[Path]) -> None:
    bind(scene.project.media, bound)
    for _ in range(2):
        there_and_back(scene)
    assert scene.leftovers() == []


def test_a_folder_of_safety_copies_that_was_mounted_since(scene: Scene, bound: list[Path]) -> None:
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    bind(scene.project.folder / "backups_local", bound)
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_a_folder_that_its_owner_may_not_write_to_hinders_nobody(tmp_path: Path) -> None:
    user = without_capabilities()
    refuse = tmp_path / "refuse"
    script = tmp_path / "hook.py"
    script.write_text(f"import os; raise SystemExit(os.path.exists({str(refuse)!r}))", "utf-8")
    project = sqlite_project(
        tmp_path / "project", rows=60, extra=f"hooks: {{before_restore: [[python3, '{script}']]}}\n"
    )
    (project.media / "reçus").chmod(0o555)
    project.apply()
    before = described(project.media)
    entries = {path.name for path in project.folder.iterdir()}
    refuse.touch()
    given_up = project.run("restore", "app", "--yes", before=user)
    assert given_up.returncode == 14, given_up.stderr
    assert "exit code 1" in given_up.stderr
    assert {path.name for path in project.folder.iterdir()} == entries
    refuse.unlink()
    for options in ((), ("--no-safety-copy",)):
        done = project.run("restore", "app", "--yes", *options, before=user)
        assert done.returncode == 0, done.stderr
        assert described(project.media) == before
        assert {path.name for path in project.folder.iterdir()} - entries <= {"backups_local"}
    assert project.run("apply", "app", before=user).returncode == 0


def test_an_archive_that_may_not_be_read_is_named(scene: Scene) -> None:
    user = without_capabilities()
    (archive,) = scene.project.archives()
    archive.chmod(0)
    refused = scene.project.run("restore", "app", archive.name, "--yes", before=user)
    assert refused.returncode == 12, refused.stderr
    assert f"{archive}: the archive cannot be read: Permission denied" in spoken(refused.stderr)
    assert scene.live() == scene.old


def failing_once(folder: Path, body: str) -> str:
    """A program for `after_restore` that notes each run, and does something the first time."""
    script = folder / "after.py"
    note = folder / "after.txt"
    script.write_text(
        "import os, pathlib, signal, time\n"
        f"note = pathlib.Path({str(note)!r})\n"
        "first = not note.exists()\n"
        "with note.open('a') as file: file.write('ran\\n')\n"
        f"if first:\n    {body}\n",
        "utf-8",
    )
    return f"hooks: {{after_restore: [[python3, '{script}']]}}\n"


def test_an_application_is_started_again_by_recovery_though_nothing_stopped_it(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path, extra=failing_once(tmp_path, "os.kill(os.getppid(), signal.SIGKILL)"))
    killed = scene.project.run("restore", "app", "--yes")
    assert killed.returncode == -9, killed.stderr
    recovered = scene.project.run("recover", "app")
    assert recovered.returncode == 0, recovered.stderr
    assert scene.live() == scene.new
    assert (tmp_path / "after.txt").read_text() == "ran\nran\n"


def test_a_signal_hides_neither_what_was_done_nor_what_failed(tmp_path: Path) -> None:
    body = "os.kill(os.getppid(), signal.SIGTERM); time.sleep(0.2); raise SystemExit(7)"
    scene = sqlite_scene(tmp_path, extra=failing_once(tmp_path, body))
    done = scene.project.run("restore", "app", "--yes", "--format", "json")
    assert done.returncode == 14, done.stderr
    told = json.loads(done.stdout)
    assert [error["code"] for error in told["errors"]] == ["step.after-restore", "step.hook", "interrupted"]
    assert told["restore"]["can_be_undone"] is True
    assert scene.live() == scene.new
    (tmp_path / "after.txt").unlink()
    (tmp_path / "after.py").write_text(
        (tmp_path / "after.py").read_text("utf-8").replace("raise SystemExit(7)", "pass"), "utf-8"
    )
    undone = scene.project.run("undo", "app", "--yes", "--format", "json")
    assert undone.returncode == 130, undone.stderr
    told = json.loads(undone.stdout)
    assert [error["code"] for error in told["errors"]] == ["interrupted"]
    assert "it stays" in told["errors"][0]["message"]
    assert told["restore"]["command"] == "undo"
    assert scene.live() == scene.old


def test_recovery_says_what_it_did_though_the_application_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.workflow.halves import Halves

    script = tmp_path / "hook.py"
    script.write_text("import os; raise SystemExit(os.environ['RUNNER_EVENT'] == 'after_restore')", "utf-8")
    command = f"[[python3, '{script}']]"
    scene = sqlite_scene(tmp_path, extra=f"hooks: {{before_restore: {command}, after_restore: {command}}}\n")

    def crash(_: Halves) -> None:
        raise RuntimeError("crash")

    for method, outcome in (("_swap_media", "taken-back"), ("_let_in", "finished")):
        scene.reset()
        with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="crash"):
            patched.setattr(Halves, method, crash)
            patched.setattr(Halves, "_back_after", lambda *_: None)
            restore_here(scene.project)
        recovered = scene.project.run("recover", "app", "--format", "json")
        assert recovered.returncode == 14, recovered.stderr
        assert json.loads(recovered.stdout)["recovery"]["outcome"] == outcome
        assert scene.live() == (scene.old if outcome == "taken-back" else scene.new)


def test_an_interrupted_safety_copy_is_made_by_recovery(postgresql: PostgresqlScene, tmp_path: Path) -> None:
    scene, armed = postgresql, tmp_path / "armed"
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in scene.cluster.bin.iterdir():
        (tools / tool.name).symlink_to(tool)
    (tools / "pg_dump").unlink()
    (tools / "pg_dump").write_text(
        f'#!/bin/sh\n"{scene.cluster.bin}/pg_dump" "$@" || exit\n'
        f'case "$*" in *--version*) ;; *) [ ! -e {armed} ] || {{ rm {armed}; kill -9 $PPID; }} ;; esac\n'
    )
    (tools / "pg_dump").chmod(0o755)
    profile = scene.project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(scene.cluster.bin.as_posix(), str(tools)), "utf-8")
    armed.touch()
    killed = scene.project.run("restore", "app", "--yes")
    assert killed.returncode == -9, killed.stderr
    recovered = scene.project.run("recover", "app")
    assert recovered.returncode == 0, recovered.stderr
    assert scene.live() == scene.new
    assert scene.databases() == []
    hidden = [path for path in (scene.project.folder / "backups_local").iterdir() if path.name.startswith(".")]
    assert hidden == []
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old
