"""The work of `runner init`: what was found, what is asked, and the plan of the first backup."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from runner import config
from runner.applications.django import DjangoProject, python_beside, read_project
from runner.cli.apply import Request, apply_outcome
from runner.cli.asking import agrees, require_terminal
from runner.cli.run import Outcome, print_finding, tell
from runner.cli.settings import Settings
from runner.cli.text import wrapped
from runner.config.locations import located
from runner.databases.sqlite.recognition import is_sqlite
from runner.errors import Finding, Refused, UsageError
from runner.messages import Message, msg
from runner.model.profile import DjangoApp
from runner.workflow.applications import followed
from runner.workflow.beginning import begin, check_destination, check_name, name_for
from runner.workflow.powershell import refuse_to_replace, write_scripts
from runner.workflow.profile_text import Beginning, FromDjango, FromServer, FromSqlite, Source, password_variable
from runner.workflow.surroundings import Surroundings, look_around, suggested_destination

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of `runner init`. What is None was not said."""

    folder: Path
    name: str | None
    dest: Path | None
    database: str | None
    media: Path | None
    no_media: bool
    manage: Path | None
    settings_module: str | None
    python: Path | None
    alias: str | None
    powershell: bool
    yes: bool

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Wishes":
        """From what click hands over."""
        return cls(**{name: cast("Any", options[name]) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The source, with what a person must be told about it."""

    source: Source
    found: tuple[Message, ...]
    warnings: tuple[Finding, ...] = ()


def init_outcome(settings: Settings, wishes: Wishes) -> Outcome:
    """Raises RunnerError."""
    _check(settings, wishes)
    folder = located(str(wishes.folder), Path.cwd())
    if wishes.powershell:
        refuse_to_replace(folder)
        if (there := _profile_there(folder, wishes)) is not None:
            return _only_scripts(folder, there)
    asking = _Asking(wishes)
    surroundings = look_around(folder)
    name = asking.text(
        wishes.name, msg("Name of the profile"), name_for(folder), lambda answer: check_name(folder, answer)
    )
    chosen = _chosen(surroundings, wishes, asking, name)
    suggested = suggested_destination(folder, name, os.environ, Path.home())
    said = None if wishes.dest is None else str(wishes.dest)
    text = asking.text(said, msg("Folder for the archives"), str(suggested))
    destination = located(str(Path(text).expanduser()), Path.cwd())
    check_destination(folder, destination, was_named=destination != suggested)
    begun = begin(Beginning(folder, name, chosen.source, destination))
    written = (*begun.written, *(write_scripts(folder, name) if wishes.powershell else ()))
    planned = apply_outcome(replace(settings, config=begun.root_file), Request(name, None, None, dry_run=True))
    data = {
        "init": {
            "profile": name,
            "files": [str(path) for path in written],
            "destination": str(destination),
        },
        **planned.data,
    }
    lines = (
        *(line for found in chosen.found for line in wrapped(found.localized(), "  ")),
        *map(_wrote, written),
        msg("{profile}: valid", profile=name).localized(),
        "",
        *planned.lines[:-1],
        msg("No backup was made yet.").localized(),
        "",
        *_next(folder, name, chosen.source),
    )
    return Outcome(data, lines, (*chosen.warnings, *planned.warnings))


def _profile_there(folder: Path, wishes: Wishes) -> str | None:
    """The profile that the scripts are for, where there is one already. Raises ConfigurationInvalid."""
    file = folder / config.BACKUP_FILE
    names = config.find_root(file, Path.cwd()).names if file.exists() else ()
    if wishes.name is not None:
        return wishes.name if wishes.name in names else None
    return names[0] if len(names) == 1 else None


def _only_scripts(folder: Path, name: str) -> Outcome:
    written = write_scripts(folder, name)
    data = {"init": {"profile": name, "files": [str(path) for path in written], "destination": None}}
    return Outcome(data, tuple(map(_wrote, written)))


def _check(settings: Settings, wishes: Wishes) -> None:
    """What cannot be wanted together, all of it at once being one sentence each. Raises UsageError."""
    of_django = {
        "--manage": wishes.manage,
        "--settings": wishes.settings_module,
        "--python": wishes.python,
        "--alias": wishes.alias,
    }
    said = [f"`{option}`" for option, value in of_django.items() if value is not None]
    if settings.config is not None:
        hint = msg("name the folder: `runner init DIR`")
        raise UsageError(msg("`-c` names a project that is there already, and `init` begins one"), hint=hint)
    if wishes.database is not None and said:
        message = msg("{options} are for a Django project, and `--database` for anything else", options=", ".join(said))
        raise UsageError(message, hint=msg("say one of the two"))
    if wishes.media is not None and wishes.no_media:
        raise UsageError(msg("`--media` and `--no-media` cannot both be wanted"), hint=msg("say one of the two"))


Check = Callable[[str], object]
"""Raises Refused for an answer that will not do."""


def _anything(_answer: str) -> None:
    """Every answer will do."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """Questions on the terminal; their defaults, with `--yes`."""

    wishes: Wishes

    def text(self, said: str | None, question: Message, default: str, check: Check = _anything) -> str:
        """What was said by an option, or is answered; an answer that `check` refuses is asked for again."""
        if said is not None or self.wishes.yes:
            text = default if said is None else said
            check(text)
            return text
        while True:
            answer: str = self._answer(lambda: click.prompt(question.localized(), default=default, err=True))
            try:
                check(answer)
            except Refused as error:
                for finding in error.findings:
                    print_finding("error", finding)
            else:
                return answer

    def one_of(self, things: Sequence[T], names: Sequence[str], question: Message, refusal: Refused) -> T:
        """One of several, by its number. With `--yes` that would be a guess: raises `refusal`."""
        if len(things) == 1:
            return things[0]
        if self.wishes.yes:
            raise refusal
        for number, name in enumerate(names, 1):
            tell(f"  {number}. {name}")
        kind = click.IntRange(1, len(things))
        text = question.localized()
        return things[self._answer(lambda: click.prompt(text, type=kind, default=1, err=True)) - 1]

    def agrees(self, question: Message) -> bool:
        """Whether a person says yes; nobody does with `--yes`, which takes defaults."""
        return not self.wishes.yes and self._answer(lambda: agrees(question))

    @staticmethod
    def _answer(ask: Callable[[], T]) -> T:
        require_terminal(msg("say `--yes` to take the defaults, and the options of `runner init --help` for the rest"))
        try:
            return ask()
        except click.Abort:
            raise Refused(msg("not answered; nothing was written"), hint=msg("run it again")) from None


def _chosen(surroundings: Surroundings, wishes: Wishes, asking: _Asking, name: str) -> _Chosen:
    if wishes.database is not None:
        return _from_address(wishes.database, surroundings, wishes, name)
    manages = surroundings.manages if wishes.manage is None else (located(str(wishes.manage), Path.cwd()),)
    if manages:
        names = [str(path) for path in manages]
        hint = msg("name one: `runner init --manage FILE`")
        refusal = Refused(msg("there are several Django projects: {names}", names=", ".join(names)), hint=hint)
        return _from_django(asking.one_of(manages, names, msg("Which project"), refusal), wishes, asking)
    if wishes.settings_module or wishes.python or wishes.alias:
        hint = msg("name it: `runner init --manage FILE`")
        raise UsageError(msg("there is no manage.py"), where=str(surroundings.folder), hint=hint)
    files = surroundings.sqlite_files
    if files:
        names = [str(path) for path in files]
        hint = msg("name one: `runner init --database FILE`")
        refusal = Refused(msg("there are several databases of SQLite: {names}", names=", ".join(names)), hint=hint)
        return _from_sqlite(asking.one_of(files, names, msg("Which database"), refusal), surroundings, wishes)
    if not wishes.yes and sys.stdin.isatty():
        tell(msg("There is no Django project here, and no database of SQLite.").localized())
        question = msg("Database (postgresql://USER@HOST/NAME, or a file of SQLite)")
        return _from_address(asking.text(None, question, "postgresql://localhost/"), surroundings, wishes, name)
    hint = msg("say where the database is: `runner init --database postgresql://USER@HOST/NAME`")
    message = msg("there is no Django project, and no database of SQLite")
    raise Refused(message, where=str(surroundings.folder), hint=hint)


def _from_address(text: str, surroundings: Surroundings, wishes: Wishes, name: str) -> _Chosen:
    from runner.databases.postgresql.address import as_address, read_address

    written = as_address(text)
    if written is None:
        file = located(str(Path(text.removeprefix("sqlite:///")).expanduser()), Path.cwd())
        if not is_sqlite(file):
            hint = msg("name a file of SQLite, or an address: `postgresql://USER@HOST/NAME`")
            raise UsageError(msg("it is no database of SQLite"), where=str(file), hint=hint)
        return _from_sqlite(file, surroundings, wishes)
    address = read_address(written)
    variable = password_variable(name) if address.has_password else None
    warnings = []
    if variable is not None:
        message = msg(
            "the password of the address was not kept: the profile reads it from {variable}", variable=variable
        )
        hint = msg("set {variable}; remove the address from the history of your shell", variable=variable)
        warnings.append(Finding("init.password", message, hint=hint))
    media = _media(surroundings, wishes)
    found = msg("database: PostgreSQL, `{name}`", name=address.config.name)
    return _Chosen(FromServer(address.config, variable, media), (found, _uploads(media)), tuple(warnings))


def _from_sqlite(file: Path, surroundings: Surroundings, wishes: Wishes) -> _Chosen:
    media = _media(surroundings, wishes)
    return _Chosen(FromSqlite(file, media), (msg("database: SQLite, {path}", path=_short(file)), _uploads(media)))


def _media(surroundings: Surroundings, wishes: Wishes) -> Path | None:
    if wishes.no_media:
        return None
    if wishes.media is not None:
        return located(str(wishes.media.expanduser()), Path.cwd())
    return next(iter(surroundings.media_folders), None)


def _uploads(media: Path | None) -> Message:
    if media is None:
        return msg("uploads: none; the database is backed up alone")
    return msg("uploads: {path}", path=_short(media))


def _from_django(manage: Path, wishes: Wishes, asking: _Asking) -> _Chosen:
    """The project's settings are asked now, so that what they say is known to be good before anything is written."""
    python = None if wishes.python is None else located(str(wishes.python), Path.cwd())
    project = read_project(manage, wishes.settings_module, python)
    if wishes.media is not None:
        hint = msg("leave `--media` out: the profile follows the settings")
        raise UsageError(msg("the settings of the Django project say where the uploads are"), hint=hint)
    alias, left_out = _alias(project, wishes, asking)
    has_media = _has_media(project, wishes, asking)
    app = DjangoApp(manage, wishes.settings_module, python, alias, media=has_media)
    followed(app, project)
    by_chance = python_beside(manage) is None
    source = FromDjango(
        manage=manage,
        settings=wishes.settings_module,
        python=project.python if python is not None or by_chance else None,
        alias=alias,
        has_media=has_media,
        has_sessions=_has_sessions(project, alias),
    )
    found = msg("application: Django {version}, settings `{name}`", version=project.version, name=project.settings)
    uploads = _uploads(project.media_root if has_media else None)
    return _Chosen(source, (found, uploads), tuple(_doubts(project, left_out, has_media=has_media)))


def _has_sessions(project: DjangoProject, alias: str | None) -> bool:
    """Whether there is a table of sessions that can be left empty, which is PostgreSQL's way alone."""
    database = next(each for each in project.databases if each.engine and alias in (None, each.alias))
    return database.kind == "postgresql" and "django.contrib.sessions" in project.applications


def _alias(project: DjangoProject, wishes: Wishes, asking: _Asking) -> tuple[str | None, list[str]]:
    """Which entry of `DATABASES`; None for the only one. With it, those that are left out."""
    known = [database.alias for database in project.databases if database.engine]
    if len(known) < 2:
        return wishes.alias, []
    chosen = wishes.alias
    if chosen is None and asking.wishes.yes and "default" in known:
        chosen = "default"
    if chosen is None:
        message = msg("`DATABASES` has {count} entries: {names}", count=len(known), names=", ".join(known))
        refusal = Refused(message, where=str(project.manage), hint=msg("name one: `runner init --alias NAME`"))
        chosen = asking.one_of(known, known, msg("Which database"), refusal)
    return chosen, [alias for alias in known if alias != chosen]


def _has_media(project: DjangoProject, wishes: Wishes, asking: _Asking) -> bool:
    if wishes.no_media or (project.keeps_files_here and project.media_root is None):
        return False
    if project.keeps_files_here:
        return True
    message = msg("its uploads go to `{storage}`, and not into a folder", storage=project.storage)
    tell(f"{project.manage}: {message.localized()}")
    if asking.agrees(msg("Back the database up alone?")):
        return False
    hint = msg("say `--no-media` to back the database up alone; the store has to be backed up by its own means")
    raise Refused(message, where=str(project.manage), hint=hint)


def _doubts(project: DjangoProject, left_out: Sequence[str], *, has_media: bool) -> Iterator[Finding]:
    for alias in left_out:
        message = msg("the database `{alias}` of the settings is not in this profile", alias=alias)
        hint = msg("`runner init --alias {alias} --name NAME --no-media` writes one for it", alias=alias)
        yield Finding("init.left-out", message, str(project.manage), hint)
    if not has_media:
        return
    if project.media_root is not None and not project.media_root.is_dir():
        message = msg("the folder of the uploads, `MEDIA_ROOT`, is not there yet; a backup will fail without it")
        hint = msg('make it: `mkdir "{folder}"`', folder=project.media_root)
        yield Finding("init.media-missing", message, str(project.media_root), hint)


def _next(folder: Path, name: str, source: Source) -> Iterator[str]:
    yield msg("Next:").localized()
    if folder != Path.cwd():
        yield f'  cd "{folder}"' if " " in str(folder) else f"  cd {folder}"
    if isinstance(source, FromServer) and source.password is not None:
        yield msg("  (set {variable} to the password of the database)", variable=source.password).localized()
    yield f"  runner apply {name}"


def _wrote(path: Path) -> str:
    return msg("wrote {path}", path=_short(path)).localized()


def _short(path: Path) -> str:
    """As it is seen from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
