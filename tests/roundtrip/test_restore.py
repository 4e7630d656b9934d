"""`runner restore`, `undo` and `recover` on a SQLite school: whole or not at all, and reversible."""

import json
import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.restores import (
    Scene,
    assert_whole_after_recovery,
    counted_calls,
    spoken,
    sqlite_content,
    sqlite_scene,
    strike,
    there_and_back,
)

SEED = 20261124


def test_a_full_restore_and_its_undo_and_the_undo_of_that(scene: Scene) -> None:
    there_and_back(scene)
    again = scene.project.run("undo", "app", "--yes")
    assert again.returncode == 0, again.stderr
    assert scene.live() == scene.new
    assert scene.leftovers() == []


def test_one_half_alone_leaves_the_other(scene: Scene) -> None:
    done = scene.project.run("restore", "app", "--variant", "db-only", "--yes")
    assert done.returncode == 3, done.stderr
    assert "00020.pdf" in done.stderr  # named by the restored database, deleted from the live media
    assert scene.live() == (scene.new[0], scene.old[1])
    scene.reset()
    done = scene.project.run("restore", "app", "--variant", "media-only", "--yes")
    assert done.returncode == 3, done.stderr
    assert "later.pdf" in done.stderr
    assert scene.live() == (scene.old[0], scene.new[1])


def test_nobody_is_asked_without_a_terminal(scene: Scene) -> None:
    done = scene.project.run("restore", "app")
    assert done.returncode == 15
    assert "--yes" in done.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_a_dry_run_changes_nothing_and_tells_what_is_replaced(scene: Scene) -> None:
    done = scene.project.run("restore", "app", "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["replaces"]["database"]["rows"] == 41
    text = " ".join(scene.project.run("restore", "app", "--dry-run").stdout.split())
    assert re.search(r"safety copy: \S+db_pre_restore_\S+\.sqlite3, \S+media_pre_restore_", text)
    assert [step["action"] for step in told["plan"]["steps"]][-2:] == ["swap", "keep"]
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_three_restores_in_a_row_keep_the_first_state(scene: Scene) -> None:
    runs: list[str] = []
    for _ in range(3):
        done = scene.project.run("restore", "app", "--yes", "--format", "json")
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout)["restore"]["run_id"])
    back = scene.project.run("undo", "app", "--to", runs[0], "--yes")
    assert back.returncode == 0, back.stderr
    assert scene.live() == scene.old


def test_no_safety_copy_means_no_way_back(scene: Scene) -> None:
    done = scene.project.run("restore", "app", "--yes", "--no-safety-copy")
    assert done.returncode == 0, done.stderr
    assert scene.live() == scene.new
    assert not (scene.project.folder / "backups_local").exists()
    assert scene.project.run("undo", "app", "--yes").returncode == 15
    assert scene.leftovers() == []


def test_a_new_machine_has_nothing_but_the_file(scene: Scene) -> None:
    (scene.project.folder / "school.sqlite3").unlink()
    for path in sorted(scene.project.media.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    scene.project.media.rmdir()
    (archive,) = scene.project.archives()
    told = scene.project.run("restore", "app", str(archive), "--dry-run").stdout
    assert "safety copy: none, for there is nothing yet" in " ".join(told.split())
    done = scene.project.run("restore", "app", str(archive), "--yes")
    assert done.returncode == 0, done.stderr
    assert scene.live() == scene.new
    refused = scene.project.run("undo", "app", "--yes")
    assert refused.returncode == 15
    assert "made the database" in refused.stderr


def test_media_that_were_not_there_go_back_to_an_empty_folder(scene: Scene) -> None:
    shutil.rmtree(scene.project.media)
    assert scene.project.run("restore", "app", "--yes").returncode == 0
    assert scene.live() == scene.new
    undone = scene.project.run("undo", "app", "--yes", "--format", "json")
    assert [each["code"] for each in json.loads(undone.stdout)["warnings"]] == ["undo.empty-media"]
    assert undone.returncode == 3
    assert scene.content() == scene.old[0]
    assert list(scene.project.media.iterdir()) == []
    assert scene.project.run("undo", "app", "--yes").returncode == 0
    assert scene.live() == scene.new
    assert scene.leftovers() == []


def test_media_alone_that_were_not_there_go_back_too(scene: Scene) -> None:
    shutil.rmtree(scene.project.media)
    assert scene.project.run("restore", "app", "--variant", "media-only", "--yes").returncode in (0, 3)
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 3, undone.stderr
    assert list(scene.project.media.iterdir()) == []


def test_a_folder_made_to_try_names_is_found_after_a_kill(scene: Scene, strace: str) -> None:
    probes: list[Path] = []
    number = 0
    while not probes:
        number += 1
        scene.reset()
        strike(scene.project, strace, "unlinkat", number, "restore", "app", "--yes")
        assert not scene.is_interrupted()  # no kill of this kind comes before the swap
        probes = list(scene.project.media.parent.glob(".runner-*.probe"))
    done = scene.project.run("-v", "apply", "app", "--variant", "media-only")
    assert done.returncode == 0, done.stderr
    assert list(scene.project.media.parent.glob(".runner-*.probe")) == []
    assert probes[0].name in done.stderr


def test_a_damaged_archive_is_refused_before_anything_is_staged(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 1
    archive.write_bytes(content)
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 13, done.stderr
    assert scene.live() == scene.old
    assert scene.leftovers() == []


def test_excluded_files_that_are_live_stay(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path)
    profile = scene.project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace("root: media", 'root: media, exclude: ["cache/**"]'), "utf-8")
    scene.project.archives()[0].unlink()
    (scene.project.media / "reçus" / "00020.pdf").write_bytes(b"back again")
    scene.project.apply()
    (scene.project.media / "cache").mkdir()
    (scene.project.media / "cache" / "thumb.jpg").write_bytes(b"thumb")
    (scene.project.media / "unwanted.txt").write_bytes(b"new since")
    told = scene.project.run("restore", "app", "--dry-run")
    assert "files that match cache/** are not in the backup; those that are live stay: 1 now, 5 bytes" in spoken(
        told.stdout
    )
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode in (0, 3), done.stderr
    assert (scene.project.media / "cache" / "thumb.jpg").read_bytes() == b"thumb"
    assert not (scene.project.media / "unwanted.txt").exists()


def test_hooks_run_around_the_swap_and_after_an_abort(tmp_path: Path) -> None:
    note = tmp_path / "hooks"
    step = "import os, pathlib; pathlib.Path(r'{path}').open('a').write(os.environ['RUNNER_EVENT'] + '\\n')"
    script = tmp_path / "note.py"
    script.write_text(step.format(path=note), "utf-8")
    hooks = f"hooks: {{before_restore: [[python3, '{script}']], after_restore: [[python3, '{script}']]}}\n"
    scene = sqlite_scene(tmp_path, extra=hooks)
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode == 0, done.stderr
    assert note.read_text() == "before_restore\nafter_restore\n"
    note.unlink()
    failing = tmp_path / "note.py"
    failing.write_text(
        failing.read_text("utf-8") + "\nraise SystemExit(os.environ['RUNNER_EVENT'][0] == 'b')\n", "utf-8"
    )
    before = scene.live()
    failed = scene.project.run("restore", "app", "--yes")
    assert failed.returncode == 14, failed.stderr
    assert note.read_text() == "before_restore\nafter_restore\n"
    assert scene.live() == before
    assert scene.leftovers() == []


def test_a_live_wal_and_an_open_application(scene: Scene) -> None:
    path = scene.project.folder / "school.sqlite3"
    with closing(sqlite3.connect(path)) as application:
        application.execute("PRAGMA journal_mode = WAL")
        application.execute("INSERT INTO finance_payment VALUES (2000, 'in the wal', '')")
        application.commit()
        done = scene.project.run("restore", "app", "--yes", "--format", "json")
        assert done.returncode == 0, done.stderr
        assert application.execute("SELECT count(*) FROM finance_payment").fetchone() == (60,)
        application.execute("INSERT INTO finance_payment VALUES (3000, 'after', '')")
        application.commit()
    kept = Path(json.loads(done.stdout)["restore"]["kept_database"])
    assert any("in the wal" in line for line in sqlite_content(kept))
    assert any("after" in line for line in sqlite_content(path))


def kill_points(scene: Scene, strace: str, log: Path, sample: int | None) -> list[tuple[str, int]]:
    calls = counted_calls(scene.project, strace, log, "restore", "app", "--yes")
    scene.reset()
    every = [(name, number) for name, numbers in calls.items() for number in numbers]
    if sample is None:
        return every
    chosen = random.Random(SEED).sample(every, sample)
    journalled = [("fsync", number) for number in calls["fsync"][-18:]]
    return sorted({*chosen, *journalled, *(("renameat2", number) for number in calls["renameat2"])})


@pytest.mark.parametrize("sample", [20, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_killed_at_any_call_it_is_the_old_state_or_the_new(
    scene: Scene, strace: str, tmp_path: Path, sample: int | None
) -> None:
    outcomes: list[str] = []
    for call, number in kill_points(scene, strace, tmp_path / "calls", sample):
        scene.reset()
        strike(scene.project, strace, call, number, "restore", "app", "--yes")
        outcomes.append(assert_whole_after_recovery(scene, f"{call} {number}"))
    assert {"old", "new"} <= set(outcomes)


def test_recovery_survives_being_killed(scene: Scene, strace: str, tmp_path: Path) -> None:
    calls = counted_calls(scene.project, strace, tmp_path / "calls", "restore", "app", "--yes")
    scene.reset()
    struck = 0
    for number in calls["fsync"][-12:]:
        scene.reset()
        strike(scene.project, strace, "fsync", number, "restore", "app", "--yes")
        if not scene.is_interrupted():
            continue
        for again in range(1, 4):
            strike(scene.project, strace, "fsync", again, "recover", "app")
            struck += 1
        assert_whole_after_recovery(scene, f"fsync {number}")
    assert struck >= 3
