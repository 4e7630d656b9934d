"""`runner restore`, `undo` and `recover` on PostgreSQL: no connection ever sees a mix, and every kill is one state."""

import json
import random
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from runner.model.manifest import PostgresqlRecord
from runner.model.profile import Variant
from runner.model.replaced import KeptOnServer
from runner.state import ProfileState
from runner.workflow.keeping import prune_copies
from tests.extract import described
from tests.inside import profile_of
from tests.projects import manifest_of, postgresql_project
from tests.restores import (
    PostgresqlScene,
    assert_whole_after_recovery,
    counted_calls,
    postgresql_content,
    postgresql_scene,
    spoken,
    strike,
    there_and_back,
)
from tests.servers.postgresql import Cluster

SEED = 20261124


@pytest.fixture
def make_scene(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., PostgresqlScene]]:
    names: list[str] = []

    def make(*, owner: str | None = None, extra: str = "") -> PostgresqlScene:
        name = cluster.create_database(f"school_{secrets.token_hex(4)}", encoding="UTF8", owner=owner)
        names.append(name)
        return postgresql_scene(tmp_path, cluster, name, extra=extra)

    yield make
    cluster.start()
    for name in names:
        cluster.drop_database(name)
        cluster.drop_database(f"{name}_template")
    for (left,) in cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'runner\\_%'"):
        cluster.drop_database(str(left))


@pytest.fixture
def scene(make_scene: Callable[..., PostgresqlScene]) -> PostgresqlScene:
    return make_scene()


def test_a_full_restore_and_its_undo_and_the_undo_of_that(scene: PostgresqlScene) -> None:
    there_and_back(scene)
    again = scene.project.run("undo", "app", "--yes")
    assert again.returncode == 0, again.stderr
    assert scene.live() == scene.new
    assert scene.leftovers() == []


@pytest.mark.parametrize("variant", ["db-only", "media-only"])
def test_one_half_alone_leaves_the_other(scene: PostgresqlScene, variant: str) -> None:
    done = scene.project.run("restore", "app", "--variant", variant, "--yes")
    assert done.returncode == 0, done.stderr
    database, media = (scene.new, scene.old) if variant == "db-only" else (scene.old, scene.new)
    assert scene.live() == (database[0], media[1])
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old


def test_the_old_database_may_stay_on_the_server(make_scene: Callable[..., PostgresqlScene]) -> None:
    scene = make_scene(extra="restore: {safety_copy: {database: rename}}\n")
    done = scene.project.run("restore", "app", "--yes", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["restore"]["kept_database"].startswith("runner_old_")
    assert scene.live() == scene.new
    undone = scene.project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert scene.live() == scene.old


def test_a_database_that_stayed_is_dropped_when_its_time_has_come_and_never_the_live_one(
    make_scene: Callable[..., PostgresqlScene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(extra="restore: {safety_copy: {database: rename, keep_last: 1}}\n")
    for _ in range(2):
        assert scene.project.run("restore", "app", "--yes").returncode == 0
    profile, state = profile_of(scene.project), ProfileState(scene.project.folder / ".runner", "app")
    assert len(scene.databases()) == 2
    later = datetime.now().astimezone() + timedelta(days=30)
    monkeypatch.setattr("runner.workflow.keeping._verified_backups", lambda *_: [later])
    first, last = state.replaced()
    removed = prune_copies(profile, state, later)
    assert isinstance(first.database, KeptOnServer)
    assert isinstance(last.database, KeptOnServer)
    assert first.database.name in removed
    assert scene.databases() == [last.database.name]
    assert scene.project.run("undo", "app", "--yes").returncode == 0
    assert next(each for each in state.replaced() if each.run_id == last.run_id).database is None


def test_a_role_that_replaces_in_place_cannot_leave_the_old_database_on_the_server(
    cluster: Cluster, make_scene: Callable[..., PostgresqlScene]
) -> None:
    owner = f"app_{secrets.token_hex(4)}"
    cluster.sql("postgres", f"CREATE ROLE {owner} LOGIN")
    scene = make_scene(extra="restore: {safety_copy: {database: rename}}\n")
    cluster.sql("postgres", f"ALTER DATABASE {scene.name} OWNER TO {owner}")
    _give_everything(cluster, scene.name, owner)
    profile = scene.project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(f"user: {cluster.user}, tools", f"user: {owner}, tools")
    profile.write_text(text, "utf-8")
    before = scene.live()
    refused = scene.project.run("restore", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "safety_copy.database: dump" in refused.stderr
    assert scene.live() == before
    profile.write_text(text.replace("database: rename", "database: dump"), "utf-8")
    dry = spoken(scene.project.run("restore", "app", "--dry-run").stdout)
    assert "the content is replaced in place: nobody can connect while that goes on" in dry
    assert "beside the live one" not in dry
    assert "runner_new_" not in dry
    done = scene.project.run("restore", "app", "--yes")
    assert done.returncode in (0, 3), done.stderr


@pytest.mark.parametrize("variant", ["full", "db-only"])
def test_a_new_server_gets_the_database_and_undo_is_refused(scene: PostgresqlScene, variant: str) -> None:
    scene.cluster.drop_database(scene.name)
    done = scene.project.run("restore", "app", "--variant", variant, "--yes")
    assert done.returncode == 0, done.stderr
    assert scene.live() == (scene.new[0], scene.new[1] if variant == "full" else scene.old[1])
    assert scene.project.run("undo", "app", "--yes").returncode == 15


@pytest.mark.parametrize("variant", ["full", "db-only", "media-only"])
def test_to_a_database_of_another_name_it_asks_naming_both(scene: PostgresqlScene, variant: str) -> None:
    other = f"{scene.name}_other"
    profile = scene.project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(f"name: {scene.name}", f"name: {other}"), "utf-8")
    try:
        told = scene.project.run("restore", "app", "--variant", variant, "--dry-run")
        assert f"of the database `{scene.name}`, and this is `{other}`" in " ".join(told.stderr.split())
        done = scene.project.run("restore", "app", "--variant", variant, "--yes")
        assert done.returncode == 3, done.stderr
        if variant != "media-only":
            assert postgresql_content(scene.cluster, other) == scene.new[0]
        assert scene.content() == scene.old[0]
        assert scene.live()[1] == (scene.old if variant == "db-only" else scene.new)[1]
    finally:
        scene.cluster.drop_database(other)


def test_an_archive_of_elsewhere_needs_trust_as_superuser(scene: PostgresqlScene) -> None:
    (scene.project.folder / ".runner" / "app" / "made.jsonl").unlink()
    refused = scene.project.run("restore", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "--trust-sql" in refused.stderr
    assert scene.live() == scene.old
    done = scene.project.run("restore", "app", "--yes", "--trust-sql")
    assert done.returncode == 0, done.stderr
    assert scene.live() == scene.new


@pytest.mark.parametrize("rights", ["CREATEDB", "NOCREATEDB", "admin"])
def test_pagila_as_an_ordinary_owner(cluster: Cluster, pagila: str, tmp_path: Path, rights: str) -> None:
    owner = f"app_{secrets.token_hex(4)}"
    cluster.sql("postgres", f"CREATE ROLE {owner} LOGIN {'NOCREATEDB' if rights == 'admin' else rights}")
    give = f"ALTER DATABASE {pagila} OWNER TO {owner}"
    cluster.sql("postgres", give)
    _give_everything(cluster, pagila, owner)
    extra = f"restore: {{admin: {{user: {cluster.user}}}}}\n" if rights == "admin" else ""
    project = postgresql_project(tmp_path / "project", cluster, pagila, extra=extra)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(
        profile.read_text("utf-8").replace(f"user: {cluster.user}, tools", f"user: {owner}, tools"), "utf-8"
    )
    archive = project.apply()
    with psycopg.connect(cluster.dsn(pagila), user=owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE newer (id integer)")
        connection.execute("DELETE FROM payment")
    files = described(project.media)
    (project.media / "newer.txt").write_bytes(b"newer")
    newer_files = described(project.media)
    record = manifest_of(archive).database
    assert isinstance(record, PostgresqlRecord)
    for variant in (Variant.FULL, Variant.DB_ONLY, Variant.MEDIA_ONLY):
        done = project.run("restore", "app", "--variant", variant.value, "--yes")
        assert done.returncode in (0, 3), done.stderr
        if variant.has_database:
            for table in record.tables:
                assert cluster.sql(pagila, f"SELECT count(*) FROM ONLY {table.name}") == [(table.rows,)]
        assert cluster.sql(pagila, "SELECT to_regclass('newer') IS NULL") == [(variant.has_database,)]
        assert described(project.media) == (files if variant.has_media else newer_files)
        undone = project.run("undo", "app", "--yes")
        assert undone.returncode in (0, 3), undone.stderr
        assert cluster.sql(pagila, "SELECT count(*) FROM payment") == [(0,)]
        assert described(project.media) == newer_files
    cluster.drop_database(pagila)
    cluster.sql("postgres", f"DROP OWNED BY {owner}; DROP ROLE {owner}")


def _give_everything(cluster: Cluster, name: str, owner: str) -> None:
    statements = cluster.sql(
        name,
        "SELECT format('ALTER %s %s OWNER TO %I', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' "
        f"WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass, '{owner}') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_|information)' "
        "AND relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid "
        "AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'e') AND relkind = 'S') "
        f"UNION ALL SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, '{owner}') FROM pg_proc p "
        "JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^(pg_|information)' "
        f"UNION ALL SELECT format('ALTER %s %s OWNER TO %I', CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, "
        f"t.oid::regtype, '{owner}') FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
        "WHERE n.nspname !~ '^(pg_|information)' AND typtype IN ('d', 'e') "
        f"UNION ALL SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, '{owner}') FROM pg_namespace "
        "WHERE nspname !~ '^(pg_|information)'",
    )
    for (statement,) in statements:
        cluster.sql(name, str(statement))


@pytest.mark.parametrize("database", ["pagila", "regression"])
def test_real_databases_come_back_whole_or_by_halves(
    database: str, cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name: str = request.getfixturevalue(database)
    project = postgresql_project(tmp_path / "project", cluster, name)
    record = manifest_of(project.apply()).database
    assert isinstance(record, PostgresqlRecord)

    def look() -> tuple[list[bytes], dict[str, object]]:
        schema = cluster.run("pg_dump", "--schema-only", dbname=name).stdout
        counted = {t.name: cluster.sql(name, f"SELECT count(*) FROM ONLY {t.name}")[0][0] for t in record.tables}
        return [line for line in schema.splitlines() if b"restrict " not in line], counted

    new = look(), described(project.media)
    assert new[0][1] == {table.name: table.rows for table in record.tables}
    cluster.sql(name, "CREATE TABLE newer (id integer)")
    (project.media / "newer.txt").write_bytes(b"newer")
    old = look(), described(project.media)
    steps = [
        (["restore", "app", "--variant", "media-only"], (old[0], new[1])),
        (["undo", "app"], old),
        (["restore", "app", "--variant", "db-only"], (new[0], old[1])),
        (["restore", "app", "--no-safety-copy"], new),
    ]
    for command, expected in steps:
        done = project.run(*command, "--yes")
        assert done.returncode in (0, 3), done.stderr
        assert (look(), described(project.media)) == expected, command


def test_what_was_left_out_is_told_with_what_is_live(make_scene: Callable[..., PostgresqlScene]) -> None:
    scene = make_scene()
    profile = scene.project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(", tools", ", exclude_table_data: [school_student], tools", 1)
    profile.write_text(text, "utf-8")
    scene.project.apply()
    ((rows,),) = scene.cluster.sql(scene.name, "SELECT count(*) FROM school_student")
    told = scene.project.run("restore", "app", "--dry-run", "--format", "json")
    (note,) = json.loads(told.stdout)["replaces"]["left_out"]
    assert "`public.school_student` was left out of the backup, so it comes back empty" in note
    assert note.endswith(f"rows in it now: {rows}")
    assert rows


def test_a_live_application_loses_nothing_that_it_was_told_of(scene: PostgresqlScene) -> None:
    told: list[int] = []
    stop = threading.Event()

    def write() -> None:
        number = 100_000
        while not stop.is_set():
            try:
                with psycopg.connect(scene.cluster.dsn(scene.name), autocommit=True, connect_timeout=5) as connection:
                    while not stop.is_set():
                        number += 1
                        connection.execute("INSERT INTO school_student VALUES (%s, 'live')", [number])
                        told.append(number)
            except psycopg.Error:
                continue

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = scene.project.run("restore", "app", "--yes", "--format", "json")
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    assert len(told) > 10
    kept = Path(json.loads(done.stdout)["restore"]["kept_database"])
    safe = scene.cluster.create_database(f"{scene.name}_kept")
    try:
        scene.cluster.run("pg_restore", "--no-owner", f"--dbname={safe}", kept)
        query = "SELECT id FROM school_student WHERE id > 100000"
        found = {row[0] for name in (safe, scene.name) for row in scene.cluster.sql(name, query)}
    finally:
        scene.cluster.drop_database(safe)
    assert set(told) <= found


def kill_points(scene: PostgresqlScene, strace: str, log: Path, sample: int | None) -> list[tuple[str, int]]:
    calls = counted_calls(scene.project, strace, log, "restore", "app", "--yes")
    scene.reset()
    every = [(name, number) for name, numbers in calls.items() for number in numbers]
    if sample is None:
        return random.Random(SEED).sample(every, min(200, len(every)))
    journalled = [("fsync", number) for number in calls["fsync"][-22:]]
    return sorted({*random.Random(SEED).sample(every, sample), *journalled})


@pytest.mark.parametrize("sample", [10, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "many"])
def test_killed_at_any_call_it_is_the_old_state_or_the_new(
    scene: PostgresqlScene, strace: str, tmp_path: Path, sample: int | None
) -> None:
    outcomes: list[str] = []
    for call, number in kill_points(scene, strace, tmp_path / "calls", sample):
        scene.reset()
        strike(scene.project, strace, call, number, "restore", "app", "--yes")
        if scene.is_interrupted():
            assert_no_mix(scene)
        outcomes.append(assert_whole_after_recovery(scene, f"{call} {number}"))
    assert {"old", "new"} <= set(outcomes)


def assert_no_mix(scene: PostgresqlScene) -> None:
    """Whoever can connect sees a database that goes with the media that lie there."""
    try:
        content = scene.content()
    except AssertionError:
        return  # closed
    _, media = scene.old if content == scene.old[0] else scene.new
    assert scene.live() == (content, media)
