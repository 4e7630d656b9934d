"""What a restore says: what was done though something failed, what was left, and which archive would have served."""

import json
from pathlib import Path

from runner.events import Event, StageStarted
from runner.model.manifest import RESTORE_NAME
from runner.model.plan import Action
from tests.inside import restore_here
from tests.projects import Project
from tests.restores import PostgresqlScene, Scene, spoken, sqlite_scene
from tests.roundtrip.test_restore_damage import hit


def failing(folder: Path, *events: str) -> str:
    """Hooks around the swap of which those named fail."""
    script = folder / "hook.py"
    script.write_text(f"import os; raise SystemExit(os.environ['RUNNER_EVENT'] in {events!r})", "utf-8")
    command = f"[[python3, '{script}']]"
    return f"hooks: {{before_restore: {command}, after_restore: {command}}}\n"


def test_an_application_that_does_not_start_again_hides_nothing_of_what_was_done(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path, extra=failing(tmp_path, "after_restore"))
    done = scene.project.run("restore", "app", "--yes", "--format", "json")
    assert done.returncode == 14, done.stderr
    told = json.loads(done.stdout)
    assert [error["code"] for error in told["errors"]] == ["step.after-restore", "step.hook"]
    assert told["status"] == "error"
    assert told["restore"]["can_be_undone"] is True
    assert Path(told["restore"]["kept_database"]).is_file()
    assert scene.live() == scene.new
    assert scene.leftovers() == []
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 14
    assert "the restored state is in and stays" in spoken(undone.stderr)
    assert "undo from the state before" in spoken(undone.stdout)
    assert "`runner undo app` takes it back" in spoken(undone.stdout)
    assert scene.live() == scene.old


def test_where_nothing_was_done_no_new_state_is_spoken_of(tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path, extra=failing(tmp_path, "before_restore", "after_restore"))
    done = scene.project.run("restore", "app", "--yes", "--format", "json")
    assert done.returncode == 14, done.stderr
    told = json.loads(done.stdout)
    assert [error["code"] for error in told["errors"]] == ["step.hook", "step.hook"]
    assert "restore" not in told
    assert scene.live() == scene.old


def test_damage_that_costs_nothing_of_the_application_is_told_all_the_same(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    archive.write_bytes(hit(archive.read_bytes(), RESTORE_NAME))
    refused = scene.project.run("restore", "app", "--yes")
    assert refused.returncode == 13, refused.stderr
    assert "`--accept-damage` restores what is left of this one" in spoken(refused.stderr)
    done = scene.project.run("restore", "app", "--yes", "--accept-damage", "--format", "json")
    assert done.returncode == 3, done.stderr
    (warning,) = json.loads(done.stdout)["warnings"]
    assert warning["code"] == "restore.damage"
    assert RESTORE_NAME in warning["message"]
    assert json.loads(done.stdout)["restore"]["lost"] == []
    assert scene.live() == scene.new


def test_an_archive_at_a_path_says_too_that_damage_may_be_accepted(scene: Scene) -> None:
    (archive,) = scene.project.archives()
    bare = scene.project.folder.parent / archive.name
    bare.write_bytes(hit(archive.read_bytes(), "media/reçus/00010.pdf"))
    refused = scene.project.run("restore", "app", str(bare), "--yes")
    assert refused.returncode == 13, refused.stderr
    assert "--accept-damage" in refused.stderr


def test_an_archive_of_one_half_leaves_the_other_and_says_so(scene: Scene) -> None:
    scene.project.apply("--variant", "db-only")
    expected = scene.live()
    done = scene.project.run("restore", "app", "--yes", "--format", "json")
    assert done.returncode == 3, done.stderr
    codes = [warning["code"] for warning in json.loads(done.stdout)["warnings"]]
    assert "restore.one-half" in codes
    assert scene.live() == expected
    asked = scene.project.run("restore", "app", "--yes", "--variant", "db-only", "--format", "json")
    codes = [warning["code"] for warning in json.loads(asked.stdout)["warnings"]]
    assert "restore.one-half" not in codes


def test_an_archive_that_cannot_serve_is_blamed_itself_and_the_newest_that_can_is_named(scene: Scene) -> None:
    (whole,) = scene.project.archives()
    half = scene.project.apply("--variant", "db-only")
    for variant in ("full", "media-only"):
        refused = scene.project.run("restore", "app", "--variant", variant, "--yes")
        assert refused.returncode == 15, refused.stderr
        assert half.name in spoken(refused.stderr)
        assert f"`runner restore app {whole.name} --variant {variant}`" in spoken(refused.stderr)
        assert "app.yml" not in refused.stderr
    profile = scene.project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8") + "restore: {variants: [full]}\n", "utf-8")
    refused = scene.project.run("restore", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "this archive holds a `db-only` backup" in spoken(refused.stderr)
    assert f"`runner restore app {whole.name}`" in spoken(refused.stderr)
    assert scene.live() == scene.old


def test_rows_are_counted_by_the_server_or_said_to_be_unknown(postgresql: PostgresqlScene) -> None:
    cluster, name = postgresql.cluster, postgresql.name
    for table in ("finance_payment", "school_student", "newer_migration"):
        ((pages,),) = cluster.sql(name, f"SELECT relpages FROM pg_class WHERE relname = '{table}'")
        assert pages == 0  # never analysed
    cluster.sql(name, "SELECT pg_stat_force_next_flush()")
    seen = _rows(postgresql.project)
    tables = "finance_payment UNION ALL SELECT id FROM school_student UNION ALL SELECT id FROM newer_migration"
    assert [(seen,)] == cluster.sql(name, f"SELECT count(*) FROM (SELECT id FROM {tables}) AS every")
    cluster.sql(name, "SELECT pg_stat_reset()")
    assert _rows(postgresql.project) is None
    assert "rows never counted by the server" in spoken(postgresql.project.run("restore", "app", "--dry-run").stdout)
    cluster.sql(name, "ANALYZE")
    assert _rows(postgresql.project) == seen


def _rows(project: Project) -> int | None:
    done = project.run("restore", "app", "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows: int | None = json.loads(done.stdout)["replaces"]["database"]["rows"]
    return rows


def test_a_restore_that_goes_on_is_not_called_interrupted(scene: Scene) -> None:
    answers: list[str] = []

    def ask(event: Event, /) -> None:
        if isinstance(event, StageStarted) and event.action is Action.SWAP:
            answers.append(scene.project.run("restore", "app", "--dry-run", "--format", "json").stdout)

    restore_here(scene.project, ask)
    told = json.loads(answers[0])
    assert [error["code"] for error in told["errors"]] == ["locked"]
    assert told["exit_code"] == 11
    assert scene.live() == scene.new


def test_every_secret_that_is_missing_is_told_at_once(postgresql: PostgresqlScene) -> None:
    profile = postgresql.project.folder / "profiles" / "app.yml"
    user = postgresql.cluster.user
    text = profile.read_text("utf-8").replace(f"user: {user}, tools", f"user: {user}, password: {{env: NO_ONE}}, tools")
    profile.write_text(f"{text}restore: {{admin: {{user: {user}, password: {{file: no_two}}}}}}\n", "utf-8")
    for choice in ("--dry-run", "--yes"):
        done = postgresql.project.run("restore", "app", choice)
        assert done.returncode == 10, done.stderr
        assert "NO_ONE" in done.stderr
        assert "no_two" in done.stderr
    assert postgresql.leftovers() == []


def test_recovery_goes_one_way(scene: Scene) -> None:
    refused = scene.project.run("recover", "app", "--forward", "--back")
    assert refused.returncode == 2
    assert "cannot both be wanted" in refused.stderr
