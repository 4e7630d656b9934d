"""`runner init`: from a folder with an application to the plan of a first backup."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.django_projects import SQLITE, django_project
from tests.privileges import without_capabilities
from tests.projects import COMMAND, Project, sqlite_project
from tests.servers.postgresql import Cluster


def init(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `runner init` in `folder`, with a home folder of its own and no OneDrive."""
    environment = {"HOME": str(folder.parent), "USERPROFILE": str(folder.parent), **(environment or {})}
    return Project(folder, folder / "backups").run("init", *arguments, environment=environment)


def profile_of(folder: Path, name: str) -> dict[str, Any]:
    profile: dict[str, Any] = yaml.safe_load((folder / "profiles" / f"{name}.yml").read_text("utf-8"))
    return profile


def test_a_django_project_is_found_followed_and_backed_up(tmp_path: Path) -> None:
    folder = tmp_path / "École du Nord"
    django_project(folder).fill(3)
    done = init(folder, "--yes")
    assert done.returncode == 0, done.stderr
    assert "application: Django" in done.stdout
    assert "runner apply ecole_du_nord" in done.stdout
    project = Project(folder, folder / "backups")
    made = project.run("apply", "ecole_du_nord")
    assert made.returncode == 0, made.stderr
    assert "6 checked, 0 missing" in made.stdout
    assert "database" not in profile_of(folder, "ecole_du_nord")
    assert (folder / ".gitignore").read_text("utf-8").splitlines() == ["/.runner/", "/backups_local/", "/backups/"]


def test_what_is_asked_is_answered_on_a_terminal(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no pseudo-terminals here")
    import pty

    folder = tmp_path / "shop"
    django_project(folder).fill(1)
    (folder / "archives").mkdir()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "init"],
        cwd=folder,
        env={**os.environ, "HOME": str(tmp_path)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, b"verger\narchives\n")
        stdout, stderr = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0, stderr
    assert "Name of the profile [shop]" in stderr
    assert "runner apply verger" in stdout
    assert profile_of(folder, "verger")["destinations"] == [{"type": "local", "path": "archives"}]


def test_without_a_terminal_nothing_is_guessed_and_nothing_written(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder)
    before = sorted(folder.rglob("*"))
    done = init(folder)
    assert done.returncode == 15
    assert "there is no terminal" in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_settings_that_fail_leave_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder, more='import os\nos.environ["SHOP_KEY"]')
    done = init(folder, "--yes")
    assert done.returncode == 14
    assert "`SHOP_KEY`" in done.stderr
    assert not (folder / "backup.yml").exists()
    assert init(folder, "--yes", environment={"SHOP_KEY": "x"}).returncode == 0


def test_the_uploads_that_are_not_there_yet_are_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    (django_project(folder).media).rmdir()
    done = init(folder, "--yes")
    assert done.returncode == 3
    assert "`MEDIA_ROOT`, is not there yet" in done.stderr
    assert f'mkdir "{folder / "media"}"' in done.stderr


TWO = """
DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "archive.sqlite3"}
"""


def test_of_two_databases_the_other_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder, more=TWO)
    done = init(folder, "--yes")
    assert done.returncode == 3
    assert "the database `archive` of the settings is not in this profile" in done.stderr
    assert profile_of(folder, "shop")["app"]["django"]["database"] == "default"
    done = init(folder, "--yes", "--alias", "archive", "--name", "archive", "--no-media")
    assert done.returncode == 3
    assert profile_of(folder, "archive")["app"]["django"] == {
        "manage": "manage.py",
        "python": Path(sys.executable).as_posix(),
        "database": "archive",
        "media": False,
    }


def test_uploads_in_a_store_are_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    store = 'STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}'
    django_project(folder, more=store)
    done = init(folder, "--yes")
    assert done.returncode == 15
    assert "storages.backends.s3.S3Storage" in done.stderr
    assert "--no-media" in done.stderr
    assert not (folder / "profiles").exists()
    assert init(folder, "--yes", "--no-media").returncode == 0


def test_another_engine_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder, '{"ENGINE": "django.db.backends.mysql", "NAME": "x"}')
    done = init(folder, "--yes")
    assert done.returncode == 15
    assert "django.db.backends.mysql" in done.stderr


def test_a_lone_sqlite_file_and_the_uploads_beside_it(tmp_path: Path) -> None:
    there = sqlite_project(tmp_path / "there", rows=10)
    folder = tmp_path / "shop"
    folder.mkdir()
    (there.folder / "school.sqlite3").rename(folder / "whatever.bin")
    there.media.rename(folder / "uploads")
    (folder / "notes.sqlite3").write_text("no database at all", "utf-8")
    done = init(folder, "--yes")
    assert done.returncode == 0, done.stderr
    profile = profile_of(folder, "shop")
    assert profile["database"] == {"engine": "sqlite", "path": "whatever.bin"}
    assert profile["media"]["root"] == "uploads"
    assert Project(folder, folder / "backups").run("apply", "shop").returncode == 0


def test_a_server_by_its_address_and_never_its_password(tmp_path: Path, cluster: Cluster) -> None:
    folder = tmp_path / "shop"
    (folder / "media").mkdir(parents=True)
    address = f"postgresql://{cluster.user}:not%40us@{cluster.host}:{cluster.port}/postgres?sslmode=prefer"
    done = init(folder, "--yes", "--database", address)
    assert done.returncode == 3, done.stderr
    assert "set SHOP_DB_PASSWORD" in done.stderr
    written = "".join(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())
    assert "not@us" not in written + done.stdout + done.stderr
    assert "not%40us" not in written + done.stdout + done.stderr
    assert profile_of(folder, "shop")["database"] == {
        "engine": "postgresql",
        "name": "postgres",
        "host": cluster.host,
        "port": cluster.port,
        "user": cluster.user,
        "password": {"env": "SHOP_DB_PASSWORD"},
        "sslmode": "prefer",
    }
    tools = {"PATH": f"{cluster.bin}{os.pathsep}{os.environ['PATH']}", "SHOP_DB_PASSWORD": "x"}
    made = Project(folder, folder / "backups").run("apply", "shop", environment=tools)
    assert made.returncode == 3, made.stderr
    assert "the database has no tables" in made.stderr  # of which a person is told


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--yes",), 15, "there is no Django project, and no database of SQLite"),
        (("--yes", "--database", "mysql://root:hidden@localhost/x"), 2, "not `mysql`"),
        (("--yes", "--database", "MySQL+pymysql://root:hidden@localhost/x"), 2, "not `mysql`"),
        (("--yes", "--database", "host=h password=hidden bad"), 2, "cannot be read"),
        (("--yes", "--database", "nothing.sqlite3"), 2, "it is no database of SQLite"),
        (("--yes", "--database", "postgresql://a:hid%zzden@localhost/x"), 2, "cannot be read"),
        (("--yes", "--database", "postgresql://localhost/x?service=hidden"), 2, "`service`"),
        (("--yes", "--database", "postgresql://localhost"), 2, "names no database"),
        (("--yes", "--database", "postgresql://one,two/x"), 2, "several servers"),
        (("--yes", "--database", "postgresql://localhost/x", "--alias", "default"), 2, "`--alias`"),
        (("--yes", "--database", "postgresql://localhost/x", "--media", "m", "--no-media"), 2, "both"),
        (("--yes", "--database", "postgresql://localhost/x", "--name", "à b"), 15, "no name for a profile"),
        (("--yes", "--database", "postgresql://localhost/x", "--dest", "/nowhere/at/all"), 15, "connect the disk"),
        (("--yes", "--settings", "config.settings"), 2, "there is no manage.py"),
        (("missing", "--yes"), 15, "the folder cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    done = init(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "hint:" in done.stderr
    assert "hid" not in done.stderr.replace("`service`", "")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "POSTGRESQL://u:geheim@h/school",
        "postgresql+psycopg2://u:geheim@h/school",
        "host=h user=u password=geheim dbname=school",
    ],
)
def test_addresses_as_others_write_them(tmp_path: Path, address: str) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    done = init(folder, "--yes", "--database", address)
    assert done.returncode == 3, done.stderr
    assert profile_of(folder, "shop")["database"]["name"] == "school"
    assert "geheim" not in done.stdout + done.stderr


def test_a_folder_that_is_closed_to_us_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder)
    (folder / "pgdata").mkdir(mode=0o000)
    done = Project(folder, folder).run("init", "--yes", before=without_capabilities())
    assert done.returncode == 0, done.stderr


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder)
    (folder / "backup.yml").write_text("version: 1\nprofiles: sauvegardes/\n", "utf-8")
    (folder / "sauvegardes").mkdir()
    (folder / ".gitignore").write_bytes(b"*.pyc\n.runner")
    assert init(folder, "--yes").returncode == 0
    assert (folder / "backup.yml").read_text("utf-8") == "version: 1\nprofiles: sauvegardes/\n"
    assert (folder / ".gitignore").read_bytes() == b"*.pyc\n.runner\n/backups_local/\n/backups/\n"
    profile = folder / "sauvegardes" / "shop.yml"
    profile.write_text("version: 1  # mine\n", "utf-8")
    again = init(folder, "--yes", "--name", "SHOP")
    assert again.returncode == 15
    assert "there is a profile `shop` already" in again.stderr
    assert profile.read_text("utf-8") == "version: 1  # mine\n"


def test_archives_go_to_the_synchronised_folder_where_there_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder, SQLITE)
    synchronised = tmp_path / "OneDrive - Lycée"
    synchronised.mkdir()
    done = init(folder, "--yes", environment={"OneDriveCommercial": str(synchronised)})
    assert done.returncode == 0, done.stderr
    assert (synchronised / "Backups" / "shop").is_dir()
    assert profile_of(folder, "shop")["destinations"][0]["path"] == "~/OneDrive - Lycée/Backups/shop"
    assert (folder / ".gitignore").read_text("utf-8") == "/.runner/\n/backups_local/\n"


def test_what_was_written_is_taken_back_when_the_rest_cannot_be(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder)
    (folder / ".gitignore").mkdir()
    done = init(folder, "--yes")
    assert done.returncode == 15, done.stderr
    assert not (folder / "backup.yml").exists()
    assert not (folder / "profiles").exists()
    assert not (folder / "backups").exists()


def test_the_files_are_told_to_programs(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    django_project(folder)
    document = json.loads(init(folder, "--yes", "--format", "json").stdout)
    assert document["init"] == {
        "profile": "shop",
        "files": [str(folder / name) for name in ("backup.yml", "profiles/shop.yml", ".gitignore")],
        "destination": str(folder / "backups"),
    }
    assert document["plan"]["profile"] == "shop"
