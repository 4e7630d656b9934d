"""`runner undo`: the state that was there, in the place where it was, and never half of another one."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.restores import PostgresqlScene, Scene, spoken


def edited(scene: Scene, old: str, new: str) -> None:
    profile = scene.project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8")
    assert old in text
    profile.write_text(text.replace(old, new), "utf-8")


def run_id(scene: Scene, *arguments: str) -> str:
    """Restore or undo, which must go well; the run's id."""
    done = scene.project.run(*arguments, "--yes", "--format", "json")
    assert done.returncode in (0, 3), done.stderr
    return str(json.loads(done.stdout)["restore"]["run_id"])


def refused(scene: Scene, *options: str) -> str:
    """What undo says when it refuses, in a dry run and otherwise."""
    dry = scene.project.run("undo", "app", "--dry-run", *options)
    done = scene.project.run("undo", "app", "--yes", *options)
    assert (dry.returncode, done.returncode) == (15, 15), (dry.stderr, done.stderr)
    return spoken(done.stderr)


def test_a_profile_that_names_another_file_now_is_refused(scene: Scene) -> None:
    run_id(scene, "restore", "app")
    other = scene.project.folder / "other.sqlite3"
    shutil.copy(scene.project.folder / "school.sqlite3", other)
    before = other.read_bytes()
    edited(scene, "path: school.sqlite3", "path: other.sqlite3")
    told = refused(scene)
    assert "school.sqlite3" in told
    assert str(other) in told
    assert other.read_bytes() == before
    edited(scene, "path: other.sqlite3", "path: school.sqlite3")
    run_id(scene, "undo", "app")
    assert scene.live() == scene.old


def test_a_profile_that_names_another_media_folder_now_is_refused(scene: Scene) -> None:
    run_id(scene, "restore", "app")
    (scene.project.folder / "others").mkdir()
    edited(scene, "root: media", "root: others")
    assert "others" in refused(scene)
    assert list((scene.project.folder / "others").iterdir()) == []


def test_a_profile_that_names_another_database_now_is_refused(postgresql: PostgresqlScene) -> None:
    scene = postgresql
    run_id(scene, "restore", "app")
    other = f"{scene.name}_other"
    scene.cluster.create_database(other, encoding="UTF8")
    try:
        edited(scene, f"name: {scene.name}", f"name: {other}")
        assert f"`{scene.name}`, and the profile names `{other}`" in refused(scene)
        assert scene.cluster.sql(other, "SELECT count(*) FROM pg_class WHERE relname = 'school_student'") == [(0,)]
    finally:
        scene.cluster.drop_database(other)


def test_the_same_name_on_another_host_is_asked_about(postgresql: PostgresqlScene) -> None:
    run_id(postgresql, "restore", "app")
    edited(postgresql, f"host: {postgresql.cluster.host}", "host: localhost")
    dry = postgresql.project.run("undo", "app", "--dry-run", "--format", "json")
    assert dry.returncode == 3, dry.stderr
    assert [warning["code"] for warning in json.loads(dry.stdout)["warnings"]] == ["restore.foreign"]
    run_id(postgresql, "undo", "app")
    assert postgresql.live() == postgresql.old


def test_half_of_an_earlier_state_does_not_come_back_beside_a_later_one(scene: Scene) -> None:
    media = run_id(scene, "restore", "app", "--variant", "media-only")
    full = run_id(scene, "restore", "app")
    assert scene.live() == scene.new
    told = refused(scene, "--to", media)
    assert f"`runner undo app --to {full}`" in told
    assert scene.live() == scene.new
    run_id(scene, "undo", "app", "--to", full)
    assert scene.live() == (scene.old[0], scene.new[1])
    run_id(scene, "undo", "app", "--to", media)
    assert scene.live() == scene.old


def test_what_an_undo_of_an_undo_put_in_again_counts(scene: Scene) -> None:
    media = run_id(scene, "restore", "app", "--variant", "media-only")
    run_id(scene, "restore", "app")
    run_id(scene, "undo", "app")
    again = run_id(scene, "undo", "app")
    assert scene.live() == scene.new
    assert again in refused(scene, "--to", media)


def test_a_safety_copy_that_is_gone_is_found_before_anything_begins(scene: Scene) -> None:
    run_id(scene, "restore", "app")
    copies = scene.project.folder / "backups_local"
    for path in list(copies.iterdir()):
        path.rename(scene.project.folder.parent / path.name)
        assert path.name in refused(scene)
        (scene.project.folder.parent / path.name).rename(path)
    assert scene.live() == scene.new
    run_id(scene, "undo", "app")
    assert scene.live() == scene.old


def test_a_database_that_is_gone_from_the_server_is_found_before_anything_begins(postgresql: PostgresqlScene) -> None:
    profile = postgresql.project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8") + "restore: {safety_copy: {database: rename}}\n", "utf-8")
    run_id(postgresql, "restore", "app")
    (kept,) = postgresql.databases()
    postgresql.cluster.drop_database(kept)
    assert f"`{kept}` is not on the server any more" in refused(postgresql)
    assert postgresql.live() == postgresql.new


def test_a_safety_copy_that_was_changed_is_no_state_of_the_application(scene: Scene) -> None:
    run_id(scene, "restore", "app")
    (kept,) = (scene.project.folder / "backups_local").glob("db_pre_restore_*.sqlite3")
    with closing(sqlite3.connect(kept)) as connection, connection:
        connection.execute("DELETE FROM finance_payment")
    done = scene.project.run("undo", "app", "--yes")
    assert done.returncode == 13, done.stderr
    assert str(kept) in spoken(done.stderr)
    assert scene.live() == scene.new
    assert scene.leftovers() == []


def test_with_a_record_that_cannot_be_read_the_last_restore_is_not_guessed(scene: Scene) -> None:
    first = run_id(scene, "restore", "app")
    second = run_id(scene, "restore", "app")
    record = scene.project.folder / ".runner" / "app" / "replaced" / f"{second}.json"
    os.truncate(record, 20)
    told = refused(scene)
    assert str(record) in told
    assert first in told
    assert scene.live() == scene.new
    run_id(scene, "undo", "app", "--to", first)
    assert scene.live() == scene.old


def test_the_state_folder_may_lie_deeper_in_a_project_that_is_moved(scene: Scene) -> None:
    (scene.project.folder / "backup.yml").write_text("version: 1\nstate: var/runner\n", "utf-8")
    run_id(scene, "restore", "app")
    moved = scene.project.folder.parent / "moved"
    scene.project.folder.rename(moved)
    there = Scene(type(scene.project)(moved, moved / "out"), scene.template, scene.old, scene.new)
    profile = moved / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(str(scene.project.out), str(moved / "out")), "utf-8")
    run_id(there, "undo", "app")
    assert there.live() == scene.old


def test_the_plan_of_an_undo_is_what_it_does(scene: Scene) -> None:
    run_id(scene, "restore", "app")
    dry = scene.project.run("undo", "app", "--dry-run", "--format", "json")
    steps = {step["action"]: step["title"] for step in json.loads(dry.stdout)["plan"]["steps"]}
    assert "compare" not in steps
    assert "kept" in steps["stage-media"]
    assert Path(scene.project.folder / "backups_local").is_dir()


def test_a_part_that_the_profile_has_lost_is_asked_back(scene: Scene) -> None:
    run_id(scene, "restore", "app")
    profile = scene.project.folder / "profiles" / "app.yml"
    lines = [line for line in profile.read_text("utf-8").splitlines() if not line.startswith("media:")]
    profile.write_text("\n".join(lines), "utf-8")
    told = refused(scene)
    assert "put that part back into the profile" in told
    assert "--variant" not in told


def test_an_empty_folder_comes_back_only_where_there_was_none(scene: Scene) -> None:
    shutil.rmtree(scene.project.media)
    run_id(scene, "restore", "app", "--variant", "media-only")
    others = scene.project.folder / "others"
    others.mkdir()
    (others / "file").write_bytes(b"of another application")
    edited(scene, "root: media", "root: others")
    assert "others" in refused(scene)
    assert (others / "file").read_bytes() == b"of another application"


def test_a_project_that_is_reached_through_a_link_is_the_same_one(scene: Scene) -> None:
    link = scene.project.folder.parent / "current"
    link.symlink_to(scene.project.folder)
    options = ("--config", str(link / "backup.yml"))
    assert scene.project.run(*options, "restore", "app", "--yes").returncode == 0
    undone = scene.project.run(*options, "undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old


def test_what_went_back_already_is_said_to_have_gone_back(scene: Scene) -> None:
    media = run_id(scene, "restore", "app", "--variant", "media-only")
    run_id(scene, "undo", "app")
    assert f"what {media} kept went back with" in refused(scene, "--to", media)
