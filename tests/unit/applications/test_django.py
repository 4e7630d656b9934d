"""What a Django project's settings say, however they are written; read by the project's own Python."""

import sys
from pathlib import Path

import pytest

from runner.applications import django
from runner.applications.django import DjangoProject, FileColumn, find_python, read_project
from runner.errors import ApplicationFailed
from tests.django_projects import DjangoFolder, django_project

POSTGRESQL = """{
    "ENGINE": "django.db.backends.postgresql", "NAME": "school_db", "USER": "école", "PASSWORD": "pa$$ wörd",
    "HOST": None, "PORT": "5433", "OPTIONS": {"sslmode": "require", "pool": True},
}"""


def read(project: DjangoFolder, settings: str | None = None) -> DjangoProject:
    return read_project(project.manage, settings, Path(sys.executable))


def refused(project: DjangoFolder, settings: str | None = None) -> ApplicationFailed:
    with pytest.raises(ApplicationFailed) as raised:
        read(project, settings)
    assert raised.value.where == str(project.manage)
    assert raised.value.hint is not None
    return raised.value


def test_a_plain_project(tmp_path: Path) -> None:
    found = read(django_project(tmp_path))
    (database,) = found.databases
    assert (database.alias, database.kind, database.name) == ("default", "sqlite", str(tmp_path / "db.sqlite3"))
    assert (found.settings, found.media_root, found.media_url) == ("config.settings", tmp_path / "media", "/media/")
    assert found.keeps_files_here
    assert found.models_error is None
    media = str(tmp_path / "media")
    columns = {FileColumn("school_student", "photo", media), FileColumn("finance_payment", "receipt", media)}
    assert set(found.file_columns) == columns
    assert found.version
    assert "finance" in found.applications


def test_postgresql_with_a_password_and_no_host(tmp_path: Path) -> None:
    (database,) = read(django_project(tmp_path, POSTGRESQL)).databases
    assert (database.kind, database.name, database.user) == ("postgresql", "school_db", "école")
    assert (database.host, database.port, database.has_password) == (None, 5433, True)
    assert database.options == (("sslmode", "require"),)


def test_settings_that_print_and_start_threads(tmp_path: Path) -> None:
    more = """
import subprocess, sys, threading, time
print("{}")
sys.stdout.write("noise")
subprocess.run([sys.executable, "-c", "print('more noise')"])
threading.Thread(target=time.sleep, args=(600,)).start()
"""
    assert read(django_project(tmp_path, more=more)).media_root == tmp_path / "media"


def test_settings_that_need_an_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = django_project(tmp_path, more='import os\nSECRET_KEY = os.environ["SCHOOL_SECRET_KEY"]')
    error = refused(project)
    assert str(error) == "its settings need the environment variable `SCHOOL_SECRET_KEY`"
    monkeypatch.setenv("SCHOOL_SECRET_KEY", "x")
    assert read(project).databases


@pytest.mark.parametrize(
    "raised",
    [
        "raise ValueError('Set the DATABASE_URL environment variable')",
        "raise LookupError('DATABASE_URL not found. Declare it as envvar or define a default value.')",
    ],
)
def test_the_words_of_libraries_for_a_missing_variable(tmp_path: Path, raised: str) -> None:
    assert "`DATABASE_URL`" in str(refused(django_project(tmp_path, more=raised)))


def test_settings_that_parse_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = """
import os
from urllib.parse import unquote, urlsplit
url = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username,
    "PASSWORD": unquote(url.password), "HOST": url.hostname, "PORT": url.port}}
"""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p%20w@db.example.org:6543/x")
    (database,) = read(django_project(tmp_path, more=more)).databases
    assert (database.host, database.port, database.name, database.has_password) == ("db.example.org", 6543, "x", True)


def test_an_error_repeats_no_credentials(tmp_path: Path) -> None:
    text = str(refused(django_project(tmp_path, more="raise ValueError('bad: postgresql://u:geheim@host/x')")))
    assert "ValueError" in text
    assert "geheim" not in text


def test_several_databases(tmp_path: Path) -> None:
    more = 'DATABASES["archive"] = {"ENGINE": "django.db.backends.mysql", "NAME": "old"}'
    kinds = {each.alias: each.kind for each in read(django_project(tmp_path, more=more)).databases}
    assert kinds == {"default": "sqlite", "archive": "django.db.backends.mysql"}


def test_a_store_elsewhere(tmp_path: Path) -> None:
    more = 'STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}'
    found = read(django_project(tmp_path, more=more))
    assert (found.keeps_files_here, found.storage) == (False, "storages.backends.s3.S3Storage")


def test_a_settings_package(tmp_path: Path) -> None:
    project = django_project(tmp_path)
    package = tmp_path / "config" / "settings"
    package.mkdir()
    project.settings.rename(package / "base.py")
    (package / "__init__.py").touch()
    local = 'from .base import *\nMEDIA_ROOT = BASE_DIR.parent / "uploads"\n'
    (package / "local.py").write_text(local, "utf-8")
    assert read(project, "config.settings.local").media_root == tmp_path / "uploads"


def test_models_that_cannot_be_loaded(tmp_path: Path) -> None:
    project = django_project(tmp_path)
    (tmp_path / "finance" / "models.py").write_text("import nowhere_to_be_found", "utf-8")
    found = read(project)
    assert found.file_columns == ()
    assert found.models_error == "ModuleNotFoundError: No module named 'nowhere_to_be_found'"


def test_no_settings_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    project = django_project(tmp_path)
    manage = project.manage.read_text("utf-8").replace('os.environ.setdefault("DJANGO_SETTINGS_MODULE"', 'print("x"')
    project.manage.write_text(manage, "utf-8")
    assert str(refused(project)) == "it names no settings module"
    assert read(project, "config.settings").databases


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("raise SystemExit(3)", "the settings ended the program"),
        ("import os\nos._exit(0)", "no answer that could be read"),
        ("import os\nos._exit(7)", "its Python ended before it answered"),
        ("input()", "EOFError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_settings_that_fail(tmp_path: Path, more: str, words: str) -> None:
    assert words in str(refused(django_project(tmp_path, more=more)))


def test_settings_that_never_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django, "PROBE_SECONDS", 1.0)
    project = django_project(tmp_path, more="import time\ntime.sleep(600)")
    assert "did not come to an end within 1 seconds" in str(refused(project))


def test_a_python_without_django(tmp_path: Path) -> None:
    project = django_project(tmp_path)
    (tmp_path / "django.py").write_text("raise ImportError('hidden')", "utf-8")
    assert "has no Django" in str(refused(project))


def test_the_python_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    manage = tmp_path / "site" / "manage.py"
    assert find_python(manage) == Path(sys.executable)
    for place in (tmp_path / "venv", tmp_path / "site" / ".venv"):
        python = place / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
        assert find_python(manage) == python


def test_nothing_is_written_into_the_project(tmp_path: Path) -> None:
    project = django_project(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    read(project)
    assert sorted(tmp_path.rglob("*")) == before
