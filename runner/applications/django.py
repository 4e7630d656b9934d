"""A Django project: where it is, which Python runs it, and what its settings say.

The settings are code. They are run by the project's own Python, in a process of its own, through its own manage.py;
runner reads the answer and nothing else. See `django_probe`, which is what runs there.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import ApplicationFailed, ToolFailed
from runner.messages import Message, msg
from runner.process import run

PROBE_SECONDS = 60.0
PROBE = Path(__file__).with_name("django_probe.py")
"""Run by the project's own Python: `PROBE MANAGE SETTINGS [ALIAS]`; with an alias it says that database's password."""

_ENVIRONMENTS = (".venv", "venv", "env", ".env")
_INTERPRETERS = (Path("bin", "python"), Path("Scripts", "python.exe"))


@dataclass(frozen=True, slots=True)
class DjangoDatabase:
    """One entry of `DATABASES`, as Django would use it; what is empty there is None. `engine` is the backend's path."""

    alias: str
    engine: str
    name: str | None
    host: str | None
    port: int | None
    user: str | None
    has_password: bool
    options: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """`postgresql` or `sqlite`, and for any other backend its path."""
        words = self.engine.lower()
        if "postgres" in words or "postgis" in words:
            return "postgresql"
        return "sqlite" if "sqlite" in words or "spatialite" in words else self.engine


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column of a `FileField`. `folder` is where its storage keeps files on this machine, None for another place."""

    table: str
    column: str
    folder: str | None


@dataclass(frozen=True, slots=True)
class DjangoProject:
    """What the settings say. `models_error` is why no columns of files are known, where they could not be asked."""

    manage: Path
    python: Path
    settings: str
    version: str
    databases: tuple[DjangoDatabase, ...]
    media_root: Path | None
    media_url: str | None
    storage: str
    file_columns: tuple[FileColumn, ...]
    applications: tuple[str, ...]
    models_error: str | None

    @property
    def keeps_files_here(self) -> bool:
        """Whether uploads go to a folder of this machine, and not to a store elsewhere."""
        return "FileSystemStorage" in self.storage or not self.storage


def find_python(manage: Path) -> Path:
    """The Python of the project's environment: beside manage.py or above it, the active one, the one that runs us."""
    if (beside := python_beside(manage)) is not None:
        return beside
    active = os.environ.get("VIRTUAL_ENV")
    for interpreter in _INTERPRETERS if active else ():
        if (found := Path(active or "") / interpreter).is_file():
            return found
    return Path(sys.executable)


def python_beside(manage: Path) -> Path | None:
    """The Python of an environment that lies beside manage.py or above it."""
    for folder in (manage.parent, manage.parent.parent):
        for environment in _ENVIRONMENTS:
            for interpreter in _INTERPRETERS:
                if (found := folder / environment / interpreter).is_file():
                    return found
    return None


def read_project(manage: Path, settings: str | None = None, python: Path | None = None) -> DjangoProject:
    """Ask a project's settings. Raises ApplicationFailed, ToolMissing."""
    python = python or find_python(manage)
    answer = _asked([str(python), "-X", "utf8", str(PROBE), str(manage), settings or ""], manage)
    if error := answer.get("error"):
        raise _unanswered(manage, python, error["kind"], error["text"], error["variable"])
    media_root, storage = answer["media_root"], answer["storage"]
    located = storage["location"] or media_root
    return DjangoProject(
        manage=manage,
        python=python,
        settings=answer["settings"],
        version=answer["django"],
        databases=tuple(_database(alias, entry) for alias, entry in answer["databases"].items()),
        media_root=None if located is None else Path(os.path.abspath(manage.parent / located)),  # noqa: PTH100
        media_url=answer["media_url"],
        storage=storage["backend"] or "",
        file_columns=tuple(FileColumn(**column) for column in answer["file_columns"]),
        applications=tuple(answer["applications"]),
        models_error=answer["models_error"],
    )


def _asked(arguments: Sequence[str], manage: Path) -> dict[str, Any]:
    deadline = _Deadline(PROBE_SECONDS)
    try:
        output = run(arguments, {"PYTHONDONTWRITEBYTECODE": "1"}, ending=deadline)
        answer: dict[str, Any] = json.loads(output)
    except ToolFailed as error:
        # What it said is not repeated: settings may print anything, a password too.
        if deadline.is_over:
            reason = msg("its settings did not come to an end within {seconds} seconds", seconds=int(PROBE_SECONDS))
        else:
            reason = msg("its Python ended before it answered")
        raise ApplicationFailed(reason, where=str(manage), hint=_by_hand(manage, arguments[0])) from error
    except ValueError:
        reason = msg("its Python gave no answer that could be read")
        raise ApplicationFailed(reason, where=str(manage), hint=_by_hand(manage, arguments[0])) from None
    return answer


class _Deadline:
    """Ends a program when its time is up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.is_over = False

    @contextmanager
    def __call__(self, end: Callable[[], object]) -> Iterator[None]:
        def fire() -> None:
            self.is_over = True
            end()

        timer = threading.Timer(self._seconds, fire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _database(alias: str, entry: dict[str, Any]) -> DjangoDatabase:
    port = entry["port"]
    return DjangoDatabase(
        alias=alias,
        engine=entry["engine"] or "",
        name=entry["name"],
        host=entry["host"],
        port=int(port) if port and port.isdecimal() else None,
        user=entry["user"],
        has_password=entry["has_password"],
        options=tuple(sorted(entry["options"].items())),
    )


def _unanswered(manage: Path, python: Path, kind: str, text: str, variable: str | None) -> ApplicationFailed:
    match kind:
        case "no-django":
            hint = msg("name the Python of the project's environment: `app.django.python: .venv/bin/python`")
            return ApplicationFailed(msg("{python} has no Django", python=python), where=str(manage), hint=hint)
        case "no-settings":
            hint = msg("name the settings module: `app.django.settings: config.settings`")
            return ApplicationFailed(msg("it names no settings module"), where=str(manage), hint=hint)
        case _ if variable is not None:
            message = msg("its settings need the environment variable `{variable}`", variable=variable)
            hint = msg("set it as the application's own service does, then run this again")
            return ApplicationFailed(message, where=str(manage), hint=hint)
        case _:
            message = msg("its settings cannot be read: {reason}", reason=text)
            return ApplicationFailed(message, where=str(manage), hint=_by_hand(manage, str(python)))


def _by_hand(manage: Path, python: str) -> Message:
    return msg("see what `{python} {manage} check` says", python=python, manage=manage)
