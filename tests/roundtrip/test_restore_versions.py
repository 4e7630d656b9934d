"""`runner restore` between majors of PostgreSQL: from older to newer, never back, and only with programs that can."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.extract import described
from tests.projects import Project, postgresql_project
from tests.restores import NEWER, SCHOOL, postgresql_content, spoken
from tests.servers.postgresql import Cluster, find_installation

TABLES = ("school_student", "finance_payment")


def moved(project: Project, source: Cluster, target: Cluster) -> None:
    """The profile, from one server to another."""
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace(source.bin.as_posix(), target.bin.as_posix())
    text = text.replace(f"port: {source.port}", f"port: {target.port}")
    profile.write_text(text.replace(f"host: {source.host}", f"host: {target.host}"), "utf-8")


def with_tools_of(project: Project, cluster: Cluster, major: int) -> None:
    profile = project.folder / "profiles" / "app.yml"
    tools = find_installation(major).bin.as_posix()
    profile.write_text(profile.read_text("utf-8").replace(cluster.bin.as_posix(), tools), "utf-8")


def rows(cluster: Cluster, name: str) -> list[list[tuple[object, ...]]]:
    return [cluster.sql(name, f"SELECT * FROM {table} ORDER BY id") for table in TABLES]


def backed_up(folder: Path, cluster: Cluster, name: str) -> Project:
    """A school in a new database of that name, and its one archive."""
    cluster.create_database(name, encoding="UTF8")
    cluster.sql(name, SCHOOL)
    project = postgresql_project(folder, cluster, name)
    project.apply()
    return project


@pytest.fixture
def name(cluster_of: Callable[[int | None], Cluster]) -> Iterator[str]:
    chosen = f"versions_{secrets.token_hex(4)}"
    yield chosen
    for major in (15, 18):
        cluster_of(major).drop_database(chosen)


@pytest.mark.parametrize("variant", ["full", "db-only"])
@pytest.mark.parametrize("there", [True, False], ids=["over a database", "new"])
def test_from_15_to_18(
    cluster_of: Callable[[int | None], Cluster], tmp_path: Path, name: str, there: bool, variant: str
) -> None:
    old, new = cluster_of(15), cluster_of(18)
    project = backed_up(tmp_path / "project", old, name)
    wanted, media = rows(old, name), described(project.media)
    before: tuple[str, ...] = ()
    if there:
        new.create_database(name, encoding="UTF8")
        new.sql(name, SCHOOL + NEWER)
        before = postgresql_content(new, name)
    (project.media / "later.txt").write_bytes(b"later")
    if variant == "db-only":
        media = described(project.media)
    moved(project, old, new)
    done = project.run("restore", "app", "--variant", variant, "--yes")
    assert done.returncode == 0, done.stderr
    assert rows(new, name) == wanted
    assert new.sql(name, "SELECT to_regclass('newer_migration')") == [(None,)]
    assert new.sql(name, "SELECT nextval('finance_payment_id_seq')") == [(51,)]
    assert described(project.media) == media
    undone = project.run("undo", "app", "--yes")
    assert undone.returncode == (0 if there else 15), undone.stderr
    if there:
        assert postgresql_content(new, name) == before
    assert project.leftovers() == []


@pytest.mark.parametrize("there", [True, False], ids=["over a database", "new"])
def test_media_alone_from_15_to_18(
    cluster_of: Callable[[int | None], Cluster], tmp_path: Path, name: str, there: bool
) -> None:
    old, new = cluster_of(15), cluster_of(18)
    project = backed_up(tmp_path / "project", old, name)
    wanted = described(project.media)
    (project.media / "later.txt").write_bytes(b"later")
    before = described(project.media)
    content: tuple[str, ...] = ()
    if there:
        new.create_database(name, encoding="UTF8")
        new.sql(name, SCHOOL + NEWER)
        content = postgresql_content(new, name)
    moved(project, old, new)
    done = project.run("restore", "app", "--variant", "media-only", "--yes")
    assert done.returncode == 0, done.stderr
    assert described(project.media) == wanted
    undone = project.run("undo", "app", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert described(project.media) == before
    databases = new.sql("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{name}'")
    assert databases == [(int(there),)]
    if there:
        assert postgresql_content(new, name) == content


def test_from_18_to_18_and_never_to_15(cluster_of: Callable[[int | None], Cluster], tmp_path: Path, name: str) -> None:
    old, new = cluster_of(15), cluster_of(18)
    for cluster in (old, new):
        cluster.create_database(name, encoding="UTF8")
        cluster.sql(name, SCHOOL)
    project = postgresql_project(tmp_path / "project", new, name)
    project.apply()
    wanted = postgresql_content(new, name)
    new.sql(name, NEWER)
    (project.media / "later.txt").write_bytes(b"later")
    live, media = postgresql_content(new, name), described(project.media)

    with_tools_of(project, new, 15)
    refused = project.run("restore", "app", "--yes")
    assert refused.returncode == 15, refused.stderr
    assert "18" in refused.stderr
    assert "hint:" in refused.stderr
    assert postgresql_content(new, name) == live
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(old.bin.as_posix(), new.bin.as_posix()), "utf-8")

    moved(project, new, old)
    before = postgresql_content(old, name)
    for tools in (15, 18):
        with_tools_of(project, old, tools)
        refused = project.run("restore", "app", "--yes")
        assert refused.returncode == 15, refused.stderr
        assert "and this server is 15, which is older" in spoken(refused.stderr)
        assert postgresql_content(old, name) == before
        assert described(project.media) == media
        assert project.leftovers() == []
        with_tools_of(project, new, 15)
    moved(project, old, new)

    for variant in ("db-only", "media-only"):
        done = project.run("restore", "app", "--variant", variant, "--yes")
        assert done.returncode == 0, done.stderr
        assert postgresql_content(new, name) == wanted
        assert (project.media / "later.txt").exists() is (variant == "db-only")
    new.sql(name, NEWER)
    done = project.run("restore", "app", "--yes")
    assert done.returncode == 0, done.stderr
    assert postgresql_content(new, name) == wanted
