"""The system check: which databases and uploads of this Django project no profile backs up.

A profile that follows the settings covers what it names of them; any other one is held against the settings by what it
says itself. Nothing is connected to.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as Warned

from runner import config
from runner.contrib.django.project import find_root, manage_file
from runner.errors import RunnerError
from runner.language import chosen, speaking
from runner.messages import Message, msg
from runner.model.profile import DjangoApp, PostgresqlConfig, Profile, SqliteConfig

_BACKED_UP = ("postgresql", "postgis", "sqlite3", "spatialite")


def check_coverage(app_configs: Sequence[Any] | None, **_options: Any) -> list[CheckMessage]:
    """runner.W001 to W004. Never raises: what cannot be read is a warning itself."""
    if app_configs is not None:  # somebody checks certain applications
        return []
    with speaking(chosen(os.environ)):
        return [_warned(*found) for found in _found()]


def _warned(number: int, message: Message, hint: Message | None) -> CheckMessage:
    text = None if hint is None else hint.localized()
    return Warned(message.localized(), hint=text, id=f"runner.W{number:03}")


def _found() -> Iterator[tuple[int, Message, Message | None]]:
    """The number, what is wrong, and what to do."""
    try:
        checked = config.check(find_root(), environ=os.environ)
    except RunnerError as error:
        for finding in error.findings:
            yield 1, msg("No backup can be made: {reason}.", reason=finding.message), finding.hint
        return
    if checked.problems:
        count = len(checked.problems)
        yield 2, msg("Profiles have problems: {count}.", count=count), msg("Run `runner validate`.")
        return
    yield from _databases(checked.profiles)
    yield from _uploads(checked.profiles)


def _databases(profiles: Iterable[Profile]) -> Iterator[tuple[int, Message, Message]]:
    known = {alias: entry for alias, entry in settings.DATABASES.items() if entry.get("ENGINE")}
    covered = {alias for profile in profiles for alias in _aliases(profile, known)}
    for alias, entry in known.items():
        if alias in covered:
            continue
        engine = str(entry["ENGINE"]).rpartition(".")[2]
        hint = msg("Run `runner init --alias {alias}`, or silence runner.W003 if this is right.", alias=alias)
        if engine not in _BACKED_UP:
            hint = msg("runner backs up PostgreSQL and SQLite; use other means for it, and silence runner.W003.")
        yield 3, msg("No profile backs up the database `{alias}`.", alias=alias), hint


def _uploads(profiles: Iterable[Profile]) -> Iterator[tuple[int, Message, Message]]:
    if not settings.MEDIA_ROOT:
        return
    root = Path(settings.MEDIA_ROOT).resolve()
    for profile in profiles:
        if profile.app is not None:
            if profile.app.media and _is_ours(profile.app):
                return
        elif profile.media is not None and root.is_relative_to(profile.media.root.resolve()):
            return
    hint = msg("Run `runner init`, or name it as `media.root` in a profile.")
    yield 4, msg("No profile backs up the uploads in {folder}.", folder=root), hint


def _aliases(profile: Profile, known: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The entries of `DATABASES` that a profile covers."""
    if profile.app is not None:
        if _is_ours(profile.app):
            yield from [profile.app.database] if profile.app.database is not None else list(known)[:1]
        return
    for alias, entry in known.items():
        match profile.database:
            case SqliteConfig(path) if Path(str(entry.get("NAME"))).resolve() == path.resolve():
                yield alias
            case PostgresqlConfig() as database if _is_same(database, entry):
                yield alias
            case _:
                pass


def _is_ours(app: DjangoApp) -> bool:
    """Whether a profile follows the project that is running; where nobody can tell, it does."""
    manage = manage_file()
    return manage is None or manage.resolve() == app.manage.resolve()


def _is_same(database: PostgresqlConfig, entry: dict[str, Any]) -> bool:
    """By name and server. What is not said is libpq's to say, for both alike."""
    ours = (database.name, database.host or "", str(database.port or 5432))
    theirs = (str(entry.get("NAME") or ""), str(entry.get("HOST") or ""), str(entry.get("PORT") or 5432))
    return ours == theirs
