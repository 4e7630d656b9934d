"""Where safety copies lie: looked at before anything is touched, and no restore or recovery hangs on what cannot be."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runner.errors import StepFailed
from runner.events import Event, Reporter, StageStarted
from runner.model.plan import Action
from runner.state import ProfileState
from runner.workflow.halves import Halves
from runner.workflow.keeping import prune_copies
from tests.inside import profile_of, restore_here
from tests.restores import PostgresqlScene, Scene, fresh_postgresql_scene, spoken, sqlite_scene
from tests.servers.postgresql import Cluster


def a_file(folder: Path) -> None:
    folder.write_bytes(b"not a folder")


def a_link_to_nothing(folder: Path) -> None:
    folder.symlink_to(folder.parent / "unplugged")


def below_a_file(folder: Path) -> None:
    a_file(folder)
    profile = folder.parent / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8") + "restore: {safety_copy: {path: backups_local/copies}}\n", "utf-8")


@pytest.mark.parametrize("spoil", [a_file, a_link_to_nothing, below_a_file])
@pytest.mark.parametrize("variant", ["full", "db-only", "media-only"])
def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_touched(
    scene: Scene, spoil: Callable[[Path], None], variant: str
) -> None:
    folder = scene.project.folder / "backups_local"
    spoil(folder)
    for arguments in (("--dry-run",), ("--yes",)):
        done = scene.project.run("restore", "app", "--variant", variant, *arguments)
        assert done.returncode == 15, done.stderr
        wrong = "is a link to what is not there" if spoil is a_link_to_nothing else "is not a folder"
        assert f"`{folder}` {wrong}" in spoken(done.stderr)
        assert "restore.safety_copy.path" in spoken(done.stderr)
    assert scene.live() == scene.old
    assert scene.leftovers() == []
    without = scene.project.run("restore", "app", "--yes", "--no-safety-copy")
    assert without.returncode == 0, without.stderr
    assert scene.live() == scene.new


def test_a_folder_that_cannot_be_used_is_refused_on_a_server_too(postgresql: PostgresqlScene) -> None:
    a_file(postgresql.project.folder / "backups_local")
    done = postgresql.project.run("restore", "app", "--yes")
    assert done.returncode == 15, done.stderr
    assert "is not a folder" in spoken(done.stderr)
    assert postgresql.live() == postgresql.old
    assert postgresql.leftovers() == []


def test_where_nothing_is_replaced_no_folder_is_needed(scene: Scene) -> None:
    (scene.project.folder / "school.sqlite3").unlink()
    shutil.rmtree(scene.project.media)
    a_file(scene.project.folder / "backups_local")
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 0, done.stderr
    assert scene.live() == scene.new


SPOIL = "import pathlib, shutil; f = pathlib.Path(r'{folder}'); shutil.rmtree(f, True); f.write_bytes(b'a file')"


def spoilt_meanwhile(folder: Path) -> str:
    """A hook that puts a file in the place of the safety copies' folder when everything is staged already."""
    script = folder / "spoil.py"
    script.write_text(SPOIL.format(folder=folder / "project" / "backups_local"), "utf-8")
    return f"hooks: {{before_restore: [[python3, '{script}']]}}\n"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_folder_that_is_lost_before_the_swap_leaves_the_old_state(
    tmp_path: Path, cluster: Cluster, engine: str
) -> None:
    if engine == "sqlite":
        assert_old_and_done(sqlite_scene(tmp_path, extra=spoilt_meanwhile(tmp_path)))
        return
    with fresh_postgresql_scene(tmp_path, cluster, extra=spoilt_meanwhile(tmp_path)) as scene:
        assert_old_and_done(scene)


def assert_old_and_done(scene: Scene) -> None:
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 14, done.stderr
    assert str(scene.project.folder / "backups_local") in spoken(done.stderr)
    assert not scene.is_interrupted()
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def spoiling(folder: Path) -> Reporter:
    """A file in the place of the safety copies' folder as soon as the swap has begun."""

    def spoil(event: Event, /) -> None:
        if isinstance(event, StageStarted) and event.action is Action.SWAP:
            folder.rmdir()
            a_file(folder)

    return spoil


def test_a_folder_that_is_lost_in_the_swap_leaves_the_old_state_and_nothing_to_recover(scene: Scene) -> None:
    folder = scene.project.folder / "backups_local"
    before = {path.name for path in scene.project.folder.iterdir()}
    with pytest.raises(StepFailed):
        restore_here(scene.project, spoiling(folder))
    assert not scene.is_interrupted()
    assert scene.live() == scene.old
    left = {path.name for path in scene.project.folder.iterdir()} - before - {"backups_local"}
    assert [name for name in left if not name.startswith(".media.")] == []  # those were live for a while, and are named
    recovered = scene.project.run("recover", "app")
    assert recovered.returncode == 0, recovered.stderr
    assert "there is nothing to recover" in recovered.stdout


def test_a_folder_that_is_lost_in_the_swap_leaves_the_old_database_on_its_server(postgresql: PostgresqlScene) -> None:
    folder = postgresql.project.folder / "backups_local"
    report = restore_here(postgresql.project, spoiling(folder))
    assert [warning.code for warning in report.warnings] == ["safety-copy.failed"] * 2
    assert postgresql.live() == postgresql.new
    folder.unlink()
    undone = postgresql.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert postgresql.live() == postgresql.old


def test_a_project_that_is_moved_takes_its_safety_copies_along(scene: Scene) -> None:
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    elsewhere = scene.project.folder.parent / "elsewhere"
    shutil.copytree(scene.project.folder, elsewhere, symlinks=True)
    copies = sorted((scene.project.folder / "backups_local").iterdir())
    copied = type(scene.project)(elsewhere, elsewhere / "out")
    undone = copied.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    there = Scene(copied, scene.template, scene.old, scene.new)
    assert there.live() == scene.old
    assert sorted((scene.project.folder / "backups_local").iterdir()) == copies
    assert scene.live() == scene.new
    again = scene.project.run("undo", "app", "--yes")
    assert again.returncode == 0, again.stderr
    assert scene.live() == scene.old


def test_a_copied_project_does_not_take_what_is_the_first_ones(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    scene = sqlite_scene(tmp_path, extra=f"restore: {{safety_copy: {{path: '{kept}'}}}}\n")
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(scene.project.folder, elsewhere, symlinks=True)
    copies = sorted(kept.iterdir())
    refused = type(scene.project)(elsewhere, elsewhere / "out").run("undo", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert str(scene.project.folder / ".runner") in spoken(refused.stderr)
    assert sorted(kept.iterdir()) == copies
    shutil.move(scene.project.folder, tmp_path / "moved")
    shutil.rmtree(elsewhere)
    moved = Scene(
        type(scene.project)(tmp_path / "moved", tmp_path / "moved" / "out"), scene.template, scene.old, scene.new
    )
    undone = moved.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert moved.live() == scene.old


def test_a_run_is_named_whole_or_by_a_beginning_that_no_other_has(scene: Scene) -> None:
    runs: list[str] = []
    for _ in range(2):
        done = scene.project.run("restore", "app", "--yes", "--format", "json")
        runs.append(json.loads(done.stdout)["restore"]["run_id"])
    first, second = runs
    for wrong, told in (
        ("", "no restore"),
        ("2", "may mean any of 2"),
        ("2000", "no restore"),
        (f"{first}x", "no restore"),
    ):
        refused = scene.project.run("undo", "app", "--to", wrong, "--yes")
        assert refused.returncode == 15, (wrong, refused.stderr)
        assert told in spoken(refused.stderr), wrong
        assert first in refused.stderr, wrong
        assert second in refused.stderr, wrong
        assert scene.live() == scene.new
    shortest = next(first[:end] for end in range(1, len(first) + 1) if first[:end] != second[:end])
    dry = scene.project.run("undo", "app", "--to", shortest, "--dry-run", "--format", "json")
    assert dry.returncode == 0, dry.stderr
    assert json.loads(dry.stdout)["plan"]["source"] == f"the state before {first}"
    assert scene.live() == scene.new
    undone = scene.project.run("undo", "app", "--to", shortest, "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old


def test_what_cannot_be_undone_is_told_by_the_restore_and_by_undo_with_what_is_kept(scene: Scene) -> None:
    (scene.project.folder / "school.sqlite3").write_bytes(b"no database at all " * 400)
    done = scene.project.run("restore", "app", "--yes", "--format", "json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)["restore"]
    assert told["can_be_undone"] is False
    refused = scene.project.run("undo", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "no database that SQLite can read" in spoken(refused.stderr)
    assert told["kept_database"] in spoken(refused.stderr)
    assert told["kept_media"] in spoken(refused.stderr)
    assert scene.live() == scene.new


def test_media_that_a_new_database_replaced_are_named(postgresql: PostgresqlScene) -> None:
    postgresql.cluster.drop_database(postgresql.name)
    done = postgresql.project.run("restore", "app", "--yes")
    assert done.returncode == 0, done.stderr
    assert "`runner undo` cannot take it back" in done.stdout
    (record,) = ProfileState(postgresql.project.folder / ".runner", "app").replaced()
    assert record.media is not None
    refused = postgresql.project.run("undo", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert record.media in spoken(refused.stderr)


def test_a_variant_that_undo_needs_and_the_profile_forbids(scene: Scene) -> None:
    profile = scene.project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8")
    assert scene.project.run("restore", "app", "--yes", "--variant", "db-only").returncode == 3
    profile.write_text(text + "restore: {variants: [full]}\n", "utf-8")
    refused = scene.project.run("undo", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "add `db-only` to `restore.variants`" in spoken(refused.stderr)
    assert "archive" not in spoken(refused.stderr)


def test_nobody_is_asked_without_a_terminal_and_the_dry_run_that_is_named_is_there(scene: Scene) -> None:
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    asked = scene.project.run("undo", "app")
    assert asked.returncode == 15
    assert "--dry-run" in asked.stderr
    dry = scene.project.run("undo", "app", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "full undo of app from the state before" in spoken(dry.stdout)
    assert scene.live() == scene.new


def test_a_role_that_is_not_there_is_told_as_that(cluster: Cluster, postgresql: PostgresqlScene) -> None:
    cluster.drop_database(postgresql.name)
    nobody = f"app_{secrets.token_hex(4)}"
    profile = postgresql.project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(f"user: {cluster.user}, tools", f"user: {nobody}, tools")
    profile.write_text(f"{text}restore: {{admin: {{user: {cluster.user}}}}}\n", "utf-8")
    refused = postgresql.project.run("restore", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert f"there is no role `{nobody}` on this server" in spoken(refused.stderr)
    assert "CREATE ROLE" in refused.stderr
    assert "may not create anything" not in refused.stderr


def test_safety_copies_on_a_disk_that_is_not_connected_stay_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    scene = sqlite_scene(tmp_path, extra=f"restore: {{safety_copy: {{path: '{disk}', keep_last: 1}}}}\n")
    for _ in range(2):
        assert scene.project.run("restore", "app", "--yes").returncode == 0
    profile, state = profile_of(scene.project), ProfileState(scene.project.folder / ".runner", "app")
    later = datetime.now().astimezone() + timedelta(days=30)
    monkeypatch.setattr("runner.workflow.keeping._verified_backups", lambda *_: [later])
    disk.rename(tmp_path / "unplugged")
    assert prune_copies(profile, state, later) == []
    assert len(state.replaced()) == 2
    (tmp_path / "unplugged").rename(disk)
    assert len(prune_copies(profile, state, later)) == 2
    assert len(list(disk.iterdir())) == 2


def test_a_copy_that_is_half_removed_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = sqlite_scene(tmp_path, extra="restore: {safety_copy: {keep_last: 1}}\n")
    for _ in range(2):
        assert scene.project.run("restore", "app", "--yes").returncode == 0
    profile, state = profile_of(scene.project), ProfileState(scene.project.folder / ".runner", "app")
    later = datetime.now().astimezone() + timedelta(days=30)
    monkeypatch.setattr("runner.workflow.keeping._verified_backups", lambda *_: [later])
    first = state.replaced()[0]
    assert first.media is not None

    def stop(folder: Path) -> None:
        if folder.is_dir():
            (folder / "later.txt").unlink(missing_ok=True)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    with monkeypatch.context() as patched, pytest.raises(PermissionError):
        patched.setattr("runner.workflow.keeping.remove_media", stop)
        prune_copies(profile, state, later)
    assert not Path(first.media).exists()
    refused = scene.project.run("undo", "app", "--to", first.run_id, "--yes")
    assert refused.returncode == 15, refused.stderr
    prune_copies(profile, state, later)
    assert [path.name for path in Path(first.media).parent.glob("*.gone")] == []
    assert len(state.replaced()) == 1


def test_a_safety_copy_whose_disk_is_away_at_recovery_stays_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, away = tmp_path / "disk", tmp_path / "unplugged"
    scene = sqlite_scene(tmp_path, extra=f"restore: {{safety_copy: {{path: '{disk}'}}}}\n")

    def crash(_: Halves) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="crash"):
        patched.setattr(Halves, "_let_in", crash)
        restore_here(scene.project)
    disk.rename(away)
    recovered = scene.project.run("recover", "app")
    assert recovered.returncode == 3, recovered.stderr
    assert "the safety copy was made and cannot be read any more" in spoken(recovered.stderr)
    assert scene.live() == scene.new
    for path in away.iterdir():
        path.rename(disk / path.name)
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old
