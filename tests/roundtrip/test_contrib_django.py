"""`manage.py backup_data` and `restore_data` in real projects, and the check that says what no profile backs up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.django_projects import SQLITE, DjangoFolder, django_project
from tests.projects import Project
from tests.servers.postgresql import Cluster

INSTALLED = 'INSTALLED_APPS += ["runner.contrib.django"]\n'
ARCHIVE = re.compile(r"shop_backup_\d{8}_\d{6}(-\d+)?\.zip")


def begun(folder: Path, database: str = SQLITE, more: str = "", *options: str) -> DjangoFolder:
    """A project in `folder`, filled, with the profile that `runner init` writes."""
    django = django_project(folder, database, INSTALLED + more)
    django.fill(4)
    done = Project(folder, folder / "backups").run("init", "--yes", *options, environment={"HOME": str(folder.parent)})
    assert done.returncode == 0, done.stderr
    return django


def manage(
    django: DjangoFolder, *arguments: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """`manage.py` with arguments, from another folder than the project's."""
    return subprocess.run(
        [sys.executable, str(django.manage), *arguments],
        cwd=django.folder.parent,
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def forget(django: DjangoFolder) -> None:
    django.run("shell", "-c", "from school.models import Student; Student.objects.all().delete()")
    for photo in (django.media / "photos").iterdir():
        photo.unlink()


def state(django: DjangoFolder) -> tuple[int, int]:
    """Rows and files."""
    return django.count(), len(list((django.media / "photos").iterdir()))


def test_from_nothing_to_a_restore_in_five_commands(tmp_path: Path, cluster: Cluster) -> None:
    name = cluster.create_database("shop_app", encoding="UTF8")
    try:
        database = (
            f'{{"ENGINE": "django.db.backends.postgresql", "NAME": "{name}", "USER": "{cluster.user}", '
            f'"PASSWORD": "x", "HOST": "{cluster.host}", "PORT": {cluster.port}}}'
        )
        django = django_project(
            tmp_path / "shop", database, INSTALLED + 'INSTALLED_APPS += ["django.contrib.sessions"]'
        )
        django.fill(4)
        environment = {"PATH": f"{cluster.bin}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
        project = Project(django.folder, django.folder / "backups")
        begun = project.run("init", "--yes", environment=environment)
        assert begun.returncode == 0, begun.stderr
        assert "exclude_table_data: [django_session]" in (django.folder / "profiles" / "shop.yml").read_text("utf-8")
        applied = project.run("apply", "shop", environment=environment)
        assert applied.returncode == 0, applied.stderr
        backed_up = manage(django, "backup_data", environment=environment)
        assert backed_up.returncode == 0, backed_up.stderr
        listed = manage(django, "restore_data", "--list", environment=environment)
        assert listed.returncode == 0
        assert len(ARCHIVE.findall(listed.stdout)) == 2
        forget(django)
        restored = manage(django, "restore_data", "--force", environment=environment)
        assert restored.returncode == 0, restored.stderr
        assert state(django) == (4, 4)
    finally:
        cluster.drop_database(name)


def test_one_half_another_folder_and_a_pattern_of_paths(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop")
    elsewhere = tmp_path / "Mes sauvegardes"
    elsewhere.mkdir()
    assert manage(django, "backup_data", "--dest", str(elsewhere)).returncode == 0
    assert manage(django, "backup_data", "--only-media", "--dest", str(elsewhere)).returncode == 0
    forget(django)
    done = manage(django, "restore_data", str(elsewhere / "shop_backup_*.zip"), "--only-media", "--force")
    assert done.returncode == 0, done.stderr
    assert state(django) == (0, 4)
    only_media = max(elsewhere.glob("*.zip"), key=lambda path: path.stat().st_mtime_ns)
    refused = manage(django, "restore_data", str(only_media), "--only-db", "--force")
    assert refused.returncode == 15
    assert "CommandError: " in refused.stderr
    (whole,) = set(elsewhere.glob("*.zip")) - {only_media}
    assert manage(django, "restore_data", str(whole), "--only-db", "--force").returncode == 0
    assert state(django) == (4, 4)


def test_nobody_is_asked_without_a_terminal(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop")
    assert manage(django, "backup_data").returncode == 0
    done = manage(django, "restore_data")
    assert done.returncode == 15
    assert "nobody can be asked" in done.stderr
    planned = manage(django, "restore_data", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "Nothing was done" in planned.stdout


def test_a_database_that_no_longer_opens_is_restored(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop")
    assert manage(django, "backup_data").returncode == 0
    (django.folder / "db.sqlite3").write_bytes(b"no database any more" * 500)
    done = manage(django, "restore_data", "--force")
    assert done.returncode == 3, done.stderr  # which says that what was there was no database
    assert state(django) == (4, 4)


def test_archives_are_named_by_the_time_of_the_machine(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop", SQLITE, 'TIME_ZONE = "Pacific/Kiritimati"\n')
    environment = {"TZ": "America/Anchorage"}
    project = Project(django.folder, django.folder / "backups")
    assert manage(django, "backup_data", environment=environment).returncode == 0
    assert project.run("apply", "shop", environment=environment).returncode == 0
    one, other = (path.name[12:23] for path in project.archives())
    assert one == other  # to the hour


CALL = """
    import django
    django.setup()
    from django.core.management import CommandError, call_command
    call_command("backup_data", verbosity=0)
    try:
        call_command("restore_data", "nothing.zip")
    except CommandError as error:
        print(error.returncode, error)
"""


def test_other_code_may_call_them(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop")
    done = subprocess.run(
        [sys.executable, "-c", dedent(CALL)],
        cwd=django.folder,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 there is no archive `nothing.zip`" in done.stdout
    assert "- dump" not in done.stderr


def test_the_profile_is_the_only_one_or_named(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop")
    project = django_project(tmp_path / "other", SQLITE)
    second = f"version: 1\napp: {{django: {{manage: '{project.manage.as_posix()}'}}}}\n"
    second += "destinations: [{type: local, path: backups}]\n"
    (django.folder / "profiles" / "second.yml").write_text(second, "utf-8")
    done = manage(django, "backup_data")
    assert done.returncode == 2
    assert "`second`, `shop`" in done.stderr
    assert manage(django, "backup_data", "--profile", "shop").returncode == 0
    with django.settings.open("a", encoding="utf-8") as settings:
        settings.write('RUNNER_PROFILE = "shop"\n')
    assert manage(django, "backup_data").returncode == 0
    assert manage(django, "check").returncode == 0


def warned(django: DjangoFolder) -> set[str]:
    """The ids that `manage.py check` warns of."""
    done = manage(django, "check", "--tag", "runner")
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"runner\.W\d+", done.stderr))


def test_the_check_says_what_no_profile_backs_up(tmp_path: Path) -> None:
    more = 'DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "archive.sqlite3"}\n'
    django = django_project(tmp_path / "shop", SQLITE, INSTALLED + more)
    assert warned(django) == {"runner.W001"}
    project = Project(django.folder, django.folder / "backups")
    assert project.run("init", "--yes", "--no-media").returncode == 3
    assert warned(django) == {"runner.W003", "runner.W004"}
    (django.folder / "archive.sqlite3").touch()
    archive = "version: 1\ndatabase: {engine: sqlite, path: archive.sqlite3}\nmedia: {root: media}\n"
    archive += "destinations: [{type: local, path: backups}]\n"
    (django.folder / "profiles" / "archive.yml").write_text(archive, "utf-8")
    assert warned(django) == set()
    (django.folder / "profiles" / "archive.yml").write_text("version: 7\n", "utf-8")
    assert warned(django) == {"runner.W002"}


@pytest.mark.parametrize("host", ["localhost", "db.example"])
def test_the_check_compares_servers_by_name(tmp_path: Path, host: str) -> None:
    database = '{"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "localhost"}'
    django = django_project(tmp_path / "shop", database, INSTALLED)
    (django.folder / "profiles").mkdir()
    (django.folder / "backup.yml").write_text("version: 1\n", "utf-8")
    profile = f"version: 1\ndatabase: {{engine: postgresql, name: shop, host: {host}}}\nmedia: {{root: media}}\n"
    profile += "destinations: [{type: local, path: backups}]\n"
    (django.folder / "profiles" / "shop.yml").write_text(profile, "utf-8")
    assert warned(django) == (set() if host == "localhost" else {"runner.W003"})


def test_the_programs_of_another_folder(tmp_path: Path, cluster: Cluster) -> None:
    name = cluster.create_database("shop_tools", encoding="UTF8")
    try:
        database = (
            f'{{"ENGINE": "django.db.backends.postgresql", "NAME": "{name}", "USER": "{cluster.user}", '
            f'"HOST": "{cluster.host}", "PORT": {cluster.port}}}'
        )
        django = begun(tmp_path / "shop", database)
        assert manage(django, "backup_data").returncode == 0
        empty = tmp_path / "empty"
        empty.mkdir()
        done = manage(django, "restore_data", "--force", "--psql", str(empty))
        assert done.returncode == 15
        assert str(empty) in done.stderr
        done = manage(django, "restore_data", "--force", "--psql", str(cluster.bin / "psql"))
        assert done.returncode == 0, done.stderr
    finally:
        cluster.drop_database(name)


def test_the_dry_run_is_the_plan_of_runner(tmp_path: Path) -> None:
    django = begun(tmp_path / "shop")
    done = manage(django, "backup_data", "--dry-run")
    ours = Project(django.folder, django.folder / "backups").run("apply", "shop", "--dry-run", "--format", "json")
    assert len(json.loads(ours.stdout)["plan"]["steps"]) == len(re.findall(r"^ ?\d+\. ", done.stdout, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4.2", "5.1"])
def test_older_djangos(tmp_path: Path, version: str) -> None:
    packages = tmp_path / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), f"Django=={version}.*"]
    assert subprocess.run(install, capture_output=True, check=False).returncode == 0
    older = {"PYTHONPATH": str(packages), "HOME": str(tmp_path)}
    django = django_project(tmp_path / "shop", SQLITE, INSTALLED)
    django.fill(4, environment=older)
    begun = Project(django.folder, django.folder / "backups").run("init", "--yes", environment=older)
    assert begun.returncode == 0, begun.stderr
    assert f"application: Django {version}." in begun.stdout
    assert manage(django, "check", environment=older).returncode == 0
    assert manage(django, "backup_data", environment=older).returncode == 0
    django.run("shell", "-c", "from school.models import Student; Student.objects.all().delete()", environment=older)
    done = manage(django, "restore_data", "--force", environment=older)
    assert done.returncode == 0, done.stderr
    assert django.count(environment=older) == 4
