"""`runner doctor` on set-ups that are broken: each is named, with a hint; following the hint repairs it."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crontabs import in_own_crontab
from tests.privileges import without_capabilities
from tests.projects import COMMAND, Project, postgresql_project, sqlite_project
from tests.requirements import requires_program
from tests.restores import sqlite_scene
from tests.servers.postgresql import Cluster

PASSWORD = "clé"


@dataclass(frozen=True)
class Said:
    """What `doctor` found: exit code, and of what is not ok `subject: where: message` and the hint."""

    code: int
    wrong: dict[str, str]


def doctor(project: Project, *before: str, environment: dict[str, str] | None = None) -> Said:
    done = project.run("doctor", "app", "--format", "json", before=before, environment=environment)
    assert done.returncode in (0, 3, 15), done.stderr + done.stdout
    checks = json.loads(done.stdout)["checks"]
    wrong = [check for check in checks if check["state"] != "ok"]
    texts = {f"{each['subject']}: {each['where']}: {each['message']}": each["hint"] or "" for each in wrong}
    states = {check["state"] for check in checks}
    assert done.returncode == (15 if "problem" in states else 3 if "warning" in states else 0)
    assert all(texts.values()), texts  # each has its way out
    return Said(done.returncode, texts)


def edit(project: Project, old: str, new: str) -> None:
    profile = project.folder / "profiles" / "app.yml"
    text = profile.read_text("utf-8")
    assert old in text
    profile.write_text(text.replace(old, new), "utf-8")


def named(said: Said, message: str, hint: str) -> None:
    """The one thing that is wrong."""
    ((text, way),) = said.wrong.items()
    assert message in text
    assert hint in way


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One that is well."""
    project = sqlite_project(tmp_path / "school", rows=10)
    project.apply()
    assert doctor(project) == Said(0, {})
    return project


@contextmanager
def database(cluster: Cluster, name: str) -> Iterator[str]:
    cluster.create_database(name, encoding="UTF8")
    try:
        cluster.sql(name, "CREATE TABLE payment (id int PRIMARY KEY); INSERT INTO payment VALUES (1)")
        yield name
    finally:
        cluster.drop_database(name)


@pytest.fixture
def server(tmp_path: Path, cluster: Cluster) -> Iterator[Project]:
    """One over PostgreSQL that is well."""
    with database(cluster, "doctor_app") as name:
        project = postgresql_project(tmp_path / "school", cluster, name)
        project.apply()
        assert doctor(project) == Said(0, {})
        yield project


def test_it_says_what_is_well(server: Project, cluster: Cluster) -> None:
    done = server.run("doctor", "app")
    assert done.returncode == 0
    for words in ("PostgreSQL 1", "pg_dump", "fits it", "may read everything", "a restore of the database can be made"):
        assert words in done.stdout or words == "pg_dump"
    assert all(line.startswith("ok ") for line in done.stdout.splitlines())
    left = cluster.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'runner_doctor%'")
    assert left == []
    assert [path.name for path in server.out.iterdir() if path.suffix != ".zip"] == []


def test_no_pg_dump(server: Project, tmp_path: Path, cluster: Cluster) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    edit(server, cluster.bin.as_posix(), empty.as_posix())
    named(doctor(server), "pg_dump and pg_restore were not found", "name their folder in `database.tools.bin`")
    edit(server, empty.as_posix(), cluster.bin.as_posix())
    assert doctor(server) == Said(0, {})


def test_an_old_pg_dump(server: Project, tmp_path: Path, cluster: Cluster) -> None:
    if sys.platform == "win32":
        pytest.skip("a script is no program here")
    old = tmp_path / "old"
    old.mkdir()
    for program in ("pg_dump", "pg_restore"):
        (old / program).write_text(f'#!/bin/sh\necho "{program} (PostgreSQL) 9.6.24"\n', "utf-8")
        (old / program).chmod(0o755)
    edit(server, cluster.bin.as_posix(), old.as_posix())
    named(doctor(server), "9.6.24 cannot dump", f"install the client programs of PostgreSQL {cluster.major}")
    edit(server, old.as_posix(), cluster.bin.as_posix())
    assert doctor(server) == Said(0, {})


def test_a_server_that_is_not_there(server: Project, cluster: Cluster) -> None:
    edit(server, f"port: {cluster.port}", "port: 1")
    named(doctor(server), "the PostgreSQL server cannot be used", "check that the server runs, and host, port")
    edit(server, "port: 1", f"port: {cluster.port}")
    assert doctor(server) == Said(0, {})


def test_a_wrong_password_and_none(tmp_path: Path, cluster_with_password: Cluster) -> None:
    cluster = cluster_with_password
    with database(cluster, "doctor_password") as name:
        project = postgresql_project(tmp_path / "school", cluster, name)
        edit(project, f"user: {cluster.user}", f"user: {cluster.user}, password: {{env: SCHOOL_PASSWORD}}")
        absent = doctor(project)
        assert [text for text in absent.wrong if "SCHOOL_PASSWORD is not there" in text]
        wrong = doctor(project, environment={"SCHOOL_PASSWORD": "geheim"})
        assert [text for text in wrong.wrong if "password authentication failed" in text]
        assert "geheim" not in str(wrong)
        project.run("apply", "app", environment={"SCHOOL_PASSWORD": PASSWORD})
        assert doctor(project, environment={"SCHOOL_PASSWORD": PASSWORD}) == Said(0, {})


@pytest.fixture(scope="module")
def cluster_with_password() -> Iterator[Cluster]:
    from tests.servers.installation import find_installation
    from tests.servers.postgresql import start_cluster

    with start_cluster(find_installation(), password=PASSWORD) as cluster:
        yield cluster


def test_a_role_without_rights(server: Project, cluster: Cluster) -> None:
    cluster.sql("postgres", "CREATE ROLE doctor_reader LOGIN")
    try:
        edit(server, f"user: {cluster.user}", "user: doctor_reader")
        edit(server, "destinations:", "restore: {variants: [media-only]}\ndestinations:")
        named(doctor(server), "permission denied for table payment", "grant the role `pg_read_all_data`")
        if cluster.major >= 14:
            cluster.sql("postgres", "GRANT pg_read_all_data TO doctor_reader")
            assert doctor(server) == Said(0, {})
    finally:
        cluster.sql("postgres", "DROP ROLE doctor_reader")


def test_a_role_that_may_not_restore(server: Project, cluster: Cluster) -> None:
    cluster.sql("postgres", "CREATE ROLE doctor_writer LOGIN; GRANT pg_read_all_data TO doctor_writer")
    try:
        edit(server, f"user: {cluster.user}", "user: doctor_writer")
        said = doctor(server)
        assert said.code == 15
        assert all(text.startswith("restore: ") for text in said.wrong)
        edit(server, "destinations:", f"restore: {{admin: {{user: {cluster.user}}}}}\ndestinations:")
        cluster.sql("postgres", "ALTER DATABASE doctor_app OWNER TO doctor_writer")
        assert doctor(server) == Said(0, {})
    finally:
        cluster.sql("postgres", f"ALTER DATABASE doctor_app OWNER TO {cluster.user}; DROP ROLE doctor_writer")


def test_a_full_disk(project: Project) -> None:
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root may make a disk that is full")
    script = f'mount -t tmpfs -o size=4k none "{project.out}" && : > "{project.out}/x" && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", f"{script.replace(': >', 'head -c 4096 /dev/zero >')}", "sh")
    said = doctor(project, *before)
    assert said.code == 15
    ((text, hint),) = [entry for entry in said.wrong.items() if "cannot be written to" in entry[0]]
    assert "No space left" in text
    assert "free space" in hint


def test_a_destination_that_is_read_only(project: Project) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no permission bits")
    project.out.chmod(0o555)
    said = doctor(project, *without_capabilities())
    named(said, "cannot be read and written to", "check the permissions of the folder")
    project.out.chmod(0o755)
    assert doctor(project, *without_capabilities()) == Said(0, {})


def test_a_destination_that_is_not_there(project: Project) -> None:
    away = project.out.rename(project.out.with_name("away"))
    said = doctor(project)
    assert said.code == 15
    assert [text for text in said.wrong if text.startswith(f"destination: {project.out}: the destination is not there")]
    away.rename(project.out)
    assert doctor(project) == Said(0, {})


def test_a_media_folder_that_is_not_there(project: Project) -> None:
    shutil.move(project.media, project.folder / "away")
    named(doctor(project), "the media root is not there", "check `media.root`")
    shutil.move(project.folder / "away", project.media)
    edit(project, "root: media", "root: media, required: [payment_receipts]")
    named(doctor(project), "`payment_receipts` is required and not there", "create it")
    (project.media / "payment_receipts").mkdir()
    assert doctor(project) == Said(0, {})


def test_a_file_that_the_database_names_and_that_is_not_there(project: Project) -> None:
    receipt = next(project.media.rglob("*.pdf"))
    receipt.rename(project.folder / receipt.name)
    said = doctor(project)
    assert said.code == 15
    assert [text for text in said.wrong if receipt.name in text]
    assert all(hint.startswith("bring the files back, or clear the column") for hint in said.wrong.values())
    (project.folder / receipt.name).rename(receipt)
    assert doctor(project) == Said(0, {})


def test_a_database_file_that_is_not_there_or_damaged(project: Project) -> None:
    file = project.folder / "school.sqlite3"
    content = file.read_bytes()
    file.unlink()
    named(doctor(project), "the database file is not there", "check `database.path`")
    file.write_bytes(b"nothing" * 1000)
    said = doctor(project)
    assert said.code == 15
    file.write_bytes(content)
    assert doctor(project) == Said(0, {})


def test_another_run_holds_the_lock(project: Project) -> None:
    if sys.platform == "win32":
        pytest.skip("fcntl is not there")
    import fcntl

    with (project.folder / ".runner" / "app" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        named(doctor(project), "another run of this profile is going on", "wait for it to end")
    assert doctor(project) == Said(0, {})


def test_a_restore_that_was_interrupted(tmp_path: Path) -> None:
    strace = requires_program("strace", only="linux")
    scene = sqlite_scene(tmp_path)
    for number in range(1, 12):
        options = ("-e", "trace=renameat2", "-e", f"inject=renameat2:signal=SIGKILL:when={number}")
        scene.project.run("restore", "app", "--yes", before=(str(strace), "-f", "-qq", "-o", "/dev/null", *options))
        if scene.is_interrupted():
            break
        scene.reset()
    assert scene.is_interrupted()
    said = doctor(scene.project)
    ((_, hint),) = [entry for entry in said.wrong.items() if "a restore was interrupted" in entry[0]]
    assert hint == "run `runner recover app`"
    assert scene.project.run("recover", "app").returncode in (0, 3)
    assert not [text for text in doctor(scene.project).wrong if "interrupted" in text]


def test_a_timer_that_is_not_installed(tmp_path: Path) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd is the timer here")
    project = sqlite_project(tmp_path / "school", rows=1, extra='schedule: {daily: "23:00"}\n')
    runner = " ".join(COMMAND)
    script = f"""
        {runner} apply app
        {runner} doctor app; echo "was $?"
        {runner} schedule install app
        {runner} doctor app; echo "is $?"
    """
    done = in_own_crontab(project.folder, script)
    assert "hint: run `runner schedule install app`" in done.stdout
    assert "was 3" in done.stdout
    assert "is 0" in done.stdout, done.stdout + done.stderr


def test_a_backup_that_is_too_old_and_one_that_is_damaged(project: Project) -> None:
    (archive,) = project.archives()
    content = archive.read_bytes()
    archive.write_bytes(content[:-100])
    said = doctor(project)
    assert said.code == 3
    assert {hint for hint in said.wrong.values() if "runner verify app" in hint}
    assert [text for text in said.wrong if "there is no good backup" in text]
    project.apply()
    archive.unlink()
    assert doctor(project) == Said(0, {})


def test_a_django_project_whose_settings_fail(tmp_path: Path) -> None:
    from tests.django_projects import SQLITE, django_project

    django = django_project(tmp_path, SQLITE, 'import os\nos.environ["SHOP_KEY"]')
    (tmp_path / "out").mkdir()
    (tmp_path / "profiles").mkdir()
    (tmp_path / "backup.yml").write_text("version: 1\n", "utf-8")
    profile = "version: 1\napp: {django: {manage: manage.py}}\ndestinations: [{type: local, path: out}]\n"
    (tmp_path / "profiles" / "app.yml").write_text(profile, "utf-8")
    project = Project(tmp_path, tmp_path / "out")
    named(doctor(project), "its settings need the environment variable `SHOP_KEY`", "set it")
    django.fill(1, environment={"SHOP_KEY": "x"})
    assert project.run("apply", "app", environment={"SHOP_KEY": "x"}).returncode == 0
    assert doctor(project, environment={"SHOP_KEY": "x"}) == Said(0, {})
