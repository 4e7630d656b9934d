"""A profile that follows a Django project's settings: backed up and restored with nothing else written down."""

import json
from pathlib import Path

import pytest

from tests.django_projects import SQLITE, DjangoFolder, django_project
from tests.projects import Project, manifest_of
from tests.servers.postgresql import Cluster

PASSWORD = "clé à nous $HOME"


def with_profile(django: DjangoFolder, app: str = "{manage: manage.py}", more: str = "") -> Project:
    """The Django project with a profile `app` beside it."""
    out = django.folder / "out"
    out.mkdir()
    (django.folder / "profiles").mkdir()
    (django.folder / "backup.yml").write_text("version: 1\n", "utf-8")
    profile = f"version: 1\napp: {{django: {app}}}\ndestinations: [{{type: local, path: out}}]\n{more}"
    (django.folder / "profiles" / "app.yml").write_text(profile, "utf-8")
    return Project(django.folder, out)


def forget(django: DjangoFolder) -> None:
    """A bad day: all students gone, and a folder of uploads."""
    django.run("shell", "-c", "from school.models import Student; Student.objects.all().delete()")
    for photo in (django.media / "photos").iterdir():
        photo.unlink()


def test_sqlite_there_and_back(tmp_path: Path) -> None:
    django = django_project(tmp_path)
    django.fill(5)
    project = with_profile(django)
    archive = project.apply()
    manifest = manifest_of(archive)
    assert manifest.references is not None
    assert set(manifest.references.columns) == {"school_student.photo", "finance_payment.receipt"}
    assert manifest.references.checked == 10
    assert manifest.media is not None
    assert manifest.media.files == 10
    forget(django)
    done = project.run("restore", "app", "--yes")
    assert done.returncode == 0, done.stderr
    assert django.count() == 5
    assert len(list((django.media / "photos").iterdir())) == 5
    assert project.run("undo", "app", "--yes").returncode == 0
    assert django.count() == 0


def test_postgresql_there_and_back_with_the_password_of_the_settings(tmp_path: Path, cluster: Cluster) -> None:
    name = cluster.create_database("django_app", encoding="UTF8")
    try:
        database = (
            f'{{"ENGINE": "django.db.backends.postgresql", "NAME": "{name}", "USER": "{cluster.user}", '
            f'"PASSWORD": "{PASSWORD}", "HOST": "{cluster.host}", "PORT": {cluster.port}}}'
        )
        django = django_project(tmp_path, database)
        django.fill(5)
        project = with_profile(django, more=f"database: {{tools: {{bin: '{cluster.bin.as_posix()}'}}}}\n")
        archive = project.apply()
        record = manifest_of(archive).database
        assert record is not None
        assert record.django is not None
        forget(django)
        done = project.run("-v", "restore", "app", "--yes")
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stderr + done.stdout
        assert django.count() == 5
    finally:
        cluster.drop_database(name)


def test_the_settings_are_asked_at_every_run(tmp_path: Path) -> None:
    django = django_project(tmp_path)
    django.fill(3)
    project = with_profile(django)
    project.apply()
    moved = tmp_path / "uploads"
    django.media.rename(moved)
    text = django.settings.read_text("utf-8").replace('BASE_DIR / "media"', 'BASE_DIR / "uploads"')
    django.settings.write_text(text, "utf-8")
    media = manifest_of(project.apply()).media
    assert media is not None
    assert media.root == str(moved)


def test_a_plan_without_a_run(tmp_path: Path) -> None:
    django = django_project(tmp_path)
    project = with_profile(django, more="media: {exclude: [cache], required: [photos]}\n")
    done = project.run("apply", "app", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "db.sqlite3") in done.stdout
    assert str(tmp_path / "media") in done.stdout


def test_what_needs_no_database_asks_nothing(tmp_path: Path) -> None:
    """Validated in CI, listed and verified on the day the application is broken."""
    django = django_project(tmp_path)
    django.fill(1)
    project = with_profile(django)
    archive = project.apply()
    django.settings.write_text("raise RuntimeError('broken')", "utf-8")
    for command in (("validate",), ("list", "app"), ("verify", "app"), ("show", "app"), ("show", str(archive))):
        done = project.run(*command)
        assert done.returncode == 0, (command, done.stderr)
    done = project.run("apply", "app", "--format", "json")
    assert done.returncode == 14
    (error,) = json.loads(done.stdout)["errors"]
    assert error["code"] == "step.application"
    assert "RuntimeError: broken" in error["message"]


@pytest.mark.parametrize(
    ("database", "more", "words", "hint"),
    [
        ('{"ENGINE": "django.db.backends.mysql", "NAME": "x"}', "", "`django.db.backends.mysql`", "`database`"),
        ('{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}', "", "no file of SQLite", "`database`"),
        ('{"ENGINE": "django.db.backends.postgresql"}', "", "no `NAME`", "`database`"),
        (
            '{"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"service": "school"}}',
            "",
            "option `service`",
            "`database`",
        ),
        (SQLITE, 'DATABASES["old"] = DATABASES["default"]', "2 entries", "`app.django.database`"),
        (SQLITE, "DATABASES = {}", "`DATABASES`", "`media`"),
        (
            SQLITE,
            'STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}',
            "`storages.backends.s3.S3Storage`",
            "`app.django.media: false`",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(
    tmp_path: Path, database: str, more: str, words: str, hint: str
) -> None:
    project = with_profile(django_project(tmp_path, database, more))
    done = project.run("apply", "app", "--format", "json")
    assert done.returncode == 15, done.stderr
    (error,) = json.loads(done.stdout)["errors"]
    assert words in error["message"]
    assert hint in error["hint"]
    assert project.archives() == []


def test_one_of_several_databases_and_uploads_that_are_elsewhere(tmp_path: Path) -> None:
    more = (
        'DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "old.sqlite3"}\n'
        'STORAGES = {"default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}\n'
    )
    django = django_project(tmp_path, more=more)
    django.run("makemigrations", "school")
    django.run("migrate", "--database", "archive")
    project = with_profile(django, "{database: archive, media: false}")
    manifest = manifest_of(project.apply())
    assert manifest.media is None
    assert manifest.variant == "db-only"
    missing = project.run("apply", "app", "--dest", "nowhere")
    assert missing.returncode == 12


def test_columns_that_nobody_knows_are_told(tmp_path: Path) -> None:
    django = django_project(tmp_path)
    django.fill(2)
    project = with_profile(django)
    (tmp_path / "finance" / "models.py").write_text("import nowhere_to_be_found", "utf-8")
    done = project.run("apply", "app", "--format", "json")
    assert done.returncode == 3, done.stderr
    (warning,) = json.loads(done.stdout)["warnings"]
    assert warning["code"] == "application.models"
    assert manifest_of(project.archives()[-1]).warnings[0].code == "application.models"
    profile = tmp_path / "profiles" / "app.yml"
    profile.write_text(profile.read_text("utf-8") + "media: {references: []}\n", "utf-8")
    project.apply()


def test_what_the_settings_say_is_not_said_again(tmp_path: Path) -> None:
    django = django_project(tmp_path)
    project = with_profile(django, more="database: {engine: sqlite, path: x}\nmedia: {root: y, exclde: [z]}\n")
    done = project.run("validate")
    assert done.returncode == 10
    assert done.stdout.count("the settings of the Django project say it") == 3
    assert "exclde" in done.stdout


def test_defaults_are_for_what_the_settings_do_not_say(tmp_path: Path) -> None:
    django = django_project(tmp_path)
    django.fill(1)
    project = with_profile(django)
    defaults = "{database: {engine: postgresql, host: db}, media: {root: z, exclude: ['*.jpg']}}"
    (tmp_path / "backup.yml").write_text(f"version: 1\ndefaults: {defaults}\n", "utf-8")
    done = project.run("apply", "app")
    assert done.returncode == 13, done.stderr  # the photo that the database names is excluded
    assert "left out by `*.jpg`" in done.stderr


@pytest.mark.parametrize("dry", [False, True])
def test_a_variable_of_the_application_that_is_not_set(tmp_path: Path, *, dry: bool) -> None:
    project = with_profile(django_project(tmp_path), "{manage: '${NOWHERE_SET}/manage.py'}")
    done = project.run("apply", "app", *(["--dry-run"] if dry else []))
    assert done.returncode == 10, done.stderr
    assert "`NOWHERE_SET` is not set" in done.stderr
