"""Tells as JSON what a Django project's settings say. It is run, not imported: by the project's own Python, alone.

    python django_probe.py MANAGE SETTINGS [ALIAS]

MANAGE is the project's manage.py, which is run up to the point where it would begin a command, because it may set the
environment up; SETTINGS is the settings module, empty where manage.py names it. The answer is one line on the stdout
that the process began with. What the project prints meanwhile goes to stderr. With ALIAS, the answer is the password of
that database alone, as it is.

For Python 3.8 and newer, and Django 3.2 and newer.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import sys
from typing import Any

MOST_CHARACTERS = 500
_CREDENTIALS = re.compile(r"://[^/\s@]+@")


class Reached(BaseException):
    """manage.py has come to where its command begins. No Exception: a project may catch those."""


class Unanswerable(Exception):
    """`kind` is for the program that asked, the text is for people."""

    def __init__(self, kind: str, text: str, variable: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.variable = variable


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    manage, settings_module, *alias = sys.argv[1:]
    code = 0
    try:
        set_up(manage, settings_module)
        if alias:
            channel.write(password_of(alias[0]))
        else:
            json.dump(read_project(), channel)
    except Unanswerable as why:
        code = 1 if alias else 0
        if not alias:
            json.dump({"error": {"kind": why.kind, "text": str(why), "variable": why.variable}}, channel)
    channel.close()
    sys.stderr.flush()
    os._exit(code)  # a thread that the settings started must not keep us


def set_up(manage: str, settings_module: str) -> None:
    """Everything up to Django's own work."""
    manage = os.path.abspath(manage)
    folder = os.path.dirname(manage)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = [manage, "check"]
    if settings_module:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    try:
        import django  # noqa: F401
    except ImportError:
        raise Unanswerable("no-django", "this Python has no Django: " + sys.executable) from None
    run_manage(manage)
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise Unanswerable("no-settings", "manage.py names no settings module")


def read_project() -> dict[str, Any]:
    import django

    answer: dict[str, Any] = {
        "django": django.get_version(),
        "python": sys.version.split()[0],
        "settings": os.environ["DJANGO_SETTINGS_MODULE"],
    }
    answer.update(told_by_settings())
    answer.update(told_by_models())
    return answer


def run_manage(manage: str) -> None:
    """Run manage.py as `python manage.py` does, up to Django's own work."""
    from django.core import management

    def reached(*_arguments: object, **_options: object) -> None:
        raise Reached

    management.execute_from_command_line = reached
    management.ManagementUtility.execute = reached
    try:
        runpy.run_path(manage, run_name="__main__")
    except Reached:
        pass
    except SystemExit as end:
        raise Unanswerable("manage", "manage.py ended before it came to Django: " + brief(end)) from None
    except Exception as error:
        raise _failed("manage", error) from None


def told_by_settings() -> dict[str, Any]:
    from django.conf import settings

    try:
        databases = {alias: told_of_database(entry) for alias, entry in settings.DATABASES.items()}
        return {
            "databases": databases,
            "media_root": text_of(settings.MEDIA_ROOT),
            "media_url": text_of(settings.MEDIA_URL),
            "storage": told_of_storage(settings),
            "applications": [str(name) for name in settings.INSTALLED_APPS],
        }
    except SystemExit as end:
        raise Unanswerable("settings", "the settings ended the program: " + brief(end)) from None
    except Exception as error:
        raise _failed("settings", error) from None


def password_of(alias: str) -> str:
    from django.conf import settings

    try:
        return str(settings.DATABASES[alias]["PASSWORD"])
    except Exception as error:
        raise _failed("settings", error) from None


def told_of_database(entry: dict[str, Any]) -> dict[str, Any]:
    """What a connection needs, less the password."""
    options = entry.get("OPTIONS") or {}
    named = ("sslmode", "sslrootcert", "service", "passfile")
    return {
        "engine": text_of(entry.get("ENGINE")),
        "name": text_of(entry.get("NAME")),
        "host": text_of(entry.get("HOST")),
        "port": text_of(entry.get("PORT")),
        "user": text_of(entry.get("USER")),
        "has_password": bool(entry.get("PASSWORD")),
        "options": {name: text_of(options[name]) for name in named if options.get(name)},
    }


def told_of_storage(settings: Any) -> dict[str, Any]:
    """Where uploads go: the class, and its own folder where it has one."""
    storages = getattr(settings, "STORAGES", None) or {}
    default = storages.get("default") or {}
    backend = default.get("BACKEND") or getattr(settings, "DEFAULT_FILE_STORAGE", "")
    location = (default.get("OPTIONS") or {}).get("location")
    return {"backend": text_of(backend), "location": text_of(location)}


def told_by_models() -> dict[str, Any]:
    """The columns that name uploaded files. A project whose models cannot be loaded tells why, and the rest."""
    try:
        import django
        from django.apps import apps
        from django.db.models import FileField

        django.setup()
        columns = []
        for model in apps.get_models(include_auto_created=True):
            if model._meta.proxy or not model._meta.managed:
                continue
            for field in model._meta.local_concrete_fields:
                if isinstance(field, FileField):
                    columns.append(
                        {"table": model._meta.db_table, "column": field.column, "folder": folder_of(field.storage)}
                    )
        return {"file_columns": columns, "models_error": None}
    except SystemExit as end:
        return {"file_columns": [], "models_error": "the models ended the program: " + brief(end)}
    except Exception as error:
        return {"file_columns": [], "models_error": brief(error)}


def folder_of(storage: Any) -> str | None:
    """Where a storage keeps its files on this machine; None for any other."""
    try:
        return text_of(storage.location) if hasattr(storage, "location") and storage.path("x") else None
    except Exception:
        return None


def text_of(value: Any) -> str | None:
    """None for what is empty; Django takes both alike."""
    return None if value is None or value == "" else str(value)


def brief(error: BaseException) -> str:
    """The kind of an error and its first words, without the credentials that a URL may hold."""
    words = _CREDENTIALS.sub("://****@", " ".join(str(error).split()))
    return (type(error).__name__ + (": " + words if words else ""))[:MOST_CHARACTERS]


def _failed(kind: str, error: Exception) -> Unanswerable:
    return Unanswerable(kind, brief(error), missing_variable(error))


def missing_variable(error: Exception) -> str | None:
    """The environment variable that was asked for and is not there, where the error tells."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    at_environ = frame is not None and frame.tb_frame.f_code.co_filename in (os.__file__, "<frozen os>")
    if isinstance(error, KeyError) and at_environ and error.args:
        return str(error.args[0])
    found = re.search(r"(?:[Ss]et the|environment variable:?) ['\"]?([A-Z][A-Z0-9_]+)", str(error))
    found = found or re.search(r"^([A-Z][A-Z0-9_]+) not found", str(error))
    return found.group(1) if found else None


if __name__ == "__main__":
    main()
