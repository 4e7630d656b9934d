"""pg_dump that dies, lies or is left alone by its server: never an archive, always an error that says so."""

import os
import sys
from pathlib import Path

import pytest

from tests.projects import Project, postgresql_project
from tests.servers.postgresql import Cluster

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for pg_dump are shell scripts")

REAL = '"{bin}/pg_dump" "$@"'
FOLDER = 'for argument; do case "$argument" in --file=*) folder="${argument#--file=}";; esac; done'
# The real dump is made aside and spoilt there: what is whole in the folder may be taken while pg_dump runs.
ASIDE = '"{bin}/pg_dump" "$@" --file="$folder.aside"; folder="$folder.aside"'
BACK = 'mv "$folder" "${folder%.aside}"'
LARGEST = 'largest=$(ls -S "$folder"/*.dat | grep -v toc.dat | head -1)'


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster, pagila: str) -> Project:
    return postgresql_project(tmp_path / "project", cluster, pagila)


def stand_in(project: Project, cluster: Cluster, script: str) -> Path:
    """Put a script in the place of pg_dump; `--version` still goes to the real one."""
    folder = project.folder / "tools"
    folder.mkdir()
    for program in ("pg_restore", "psql"):
        (folder / program).symlink_to(cluster.bin / program)
    head = f'#!/bin/sh\ncase "$1" in --version) exec "{cluster.bin}/pg_dump" --version;; esac\n'
    (folder / "pg_dump").write_text(head + script.replace("{bin}", str(cluster.bin)) + "\n", "utf-8")
    (folder / "pg_dump").chmod(0o755)
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(cluster.bin.as_posix(), folder.as_posix()), "utf-8")
    return folder


def assert_refused(project: Project, code: int, *words: str) -> str:
    earlier = project.archives()
    done = project.run("apply", "app")
    assert done.returncode == code, done.stderr
    said = " ".join(done.stderr.split())
    for word in words:
        assert word in said
    assert "hint:" in done.stderr or code == 14
    assert project.archives() == earlier
    assert project.leftovers() == []
    return done.stderr


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (f"{REAL}; echo 'half way' >&2; kill -9 $$", 14, ("signal 9", "half way")),
        (f"{REAL}; echo 'disk full' >&2; exit 1", 14, ("exit code 1", "disk full")),
        (f"{FOLDER}; {ASIDE}; {LARGEST}; truncate -s 1000 $largest; {BACK}", 13, ("does not end as a whole one does",)),
        (f"{FOLDER}; {ASIDE}; {LARGEST}; rm $largest; {BACK}", 13, ("left out the data file",)),
        (f"{FOLDER}; {REAL}; truncate -s 3000 $folder/toc.dat", 14, ("pg_restore",)),
        ("exit 0", 14, ("pg_restore",)),
    ],
    ids=["killed", "failed", "cut short", "file missing", "contents cut", "did nothing"],
)
def test_a_pg_dump_that_is_not_whole(
    project: Project, cluster: Cluster, script: str, code: int, words: tuple[str, ...]
) -> None:
    project.apply()
    stand_in(project, cluster, script)
    assert_refused(project, code, *words)


def test_a_server_that_goes_away(project: Project, cluster: Cluster) -> None:
    project.apply()
    postmaster = int((cluster.data / "postmaster.pid").read_text("ascii").splitlines()[0])
    stand_in(project, cluster, f"{REAL}; kill -9 {postmaster}; sleep 1; exit 0")
    try:
        assert_refused(project, 14, "server")
    finally:
        cluster.start()


def test_a_server_that_is_not_there(project: Project, cluster: Cluster) -> None:
    profile = project.folder / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8").replace(f"port: {cluster.port}", "port: 1"), "utf-8")
    said = assert_refused(project, 14, "the PostgreSQL server cannot be used", "hint:")
    assert "\\t" not in said  # libpq indents its second line by a tab


def test_the_password_is_in_no_argument_and_in_no_text(project: Project, cluster: Cluster) -> None:
    record = project.folder / "record"
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8").replace("tools:", "password: {env: SECRET_OF_THE_TEST}, tools:")
    profile.write_text(text, "utf-8")
    stand_in(project, cluster, f'echo "$@" > "{record}"; echo "$PGPASSWORD" >&2; {REAL}; exit 3')
    secret = "never-to-be-shown-4711"
    done = project.run("-v", "apply", "app", environment={"SECRET_OF_THE_TEST": secret})
    assert done.returncode == 14
    assert secret not in done.stdout + done.stderr + record.read_text("utf-8")
    assert "****" in done.stderr
    missing = project.run("apply", "app")
    assert missing.returncode == 10
    assert "SECRET_OF_THE_TEST" in missing.stderr
    assert sys.executable not in missing.stderr
