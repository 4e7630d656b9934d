"""A Django project for tests: two apps with uploads, settings to be varied, run by the Python that runs the tests."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

MANAGE = """\
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """\
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "for tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "school", "finance"]
DATABASES = {{"default": {database}}}
MEDIA_ROOT = BASE_DIR / "media"
MEDIA_URL = "/media/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
{more}
"""

MODELS = {
    "school": """\
from django.db import models


class Student(models.Model):
    name = models.CharField(max_length=80)
    photo = models.FileField(upload_to="photos/", blank=True)
""",
    "finance": """\
from django.db import models


class Payment(models.Model):
    amount = models.IntegerField()
    receipt = models.FileField(upload_to="payment_receipts/%Y/", blank=True)
""",
}

SQLITE = '{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}'


@dataclass(frozen=True, slots=True)
class DjangoFolder:
    """The project, in `folder`."""

    folder: Path

    @property
    def manage(self) -> Path:
        return self.folder / "manage.py"

    @property
    def settings(self) -> Path:
        return self.folder / "config" / "settings.py"

    @property
    def media(self) -> Path:
        return self.folder / "media"

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """`manage.py` with arguments, which must go well; returns its stdout."""
        done = subprocess.run(
            [sys.executable, str(self.manage), *arguments],
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fill(self, students: int = 5, environment: dict[str, str] | None = None) -> None:
        """Tables, and rows with the files that they name."""
        self.run("makemigrations", "school", "finance", environment=environment)
        self.run("migrate", environment=environment)
        script = f"""
            from django.core.files.base import ContentFile
            from finance.models import Payment
            from school.models import Student
            for number in range({students}):
                student = Student(name=f"Élève {{number}}")
                student.photo.save(f"élève {{number}}.jpg", ContentFile(b"photo" * number))
                payment = Payment(amount=number)
                payment.receipt.save(f"reçu {{number}}.pdf", ContentFile(b"%PDF" * number))
        """
        self.run("shell", "-c", dedent(script), environment=environment)

    def count(self, environment: dict[str, str] | None = None) -> int:
        """How many students there are."""
        script = "from school.models import Student; print('students:', Student.objects.count())"
        return int(self.run("shell", "-c", script, environment=environment).rpartition("students:")[2])


def django_project(folder: Path, database: str = SQLITE, more: str = "") -> DjangoFolder:
    """Write the project; `database` is the Python of `DATABASES["default"]`, `more` what follows the settings."""
    for app, models in MODELS.items():
        (folder / app / "migrations").mkdir(parents=True)
        (folder / app / "migrations" / "__init__.py").touch()
        (folder / app / "__init__.py").touch()
        (folder / app / "models.py").write_text(models, "utf-8")
    (folder / "config").mkdir()
    (folder / "config" / "__init__.py").touch()
    (folder / "manage.py").write_text(MANAGE, "utf-8")
    (folder / "config" / "settings.py").write_text(SETTINGS.format(database=database, more=more), "utf-8")
    (folder / "media").mkdir()
    return DjangoFolder(folder)
