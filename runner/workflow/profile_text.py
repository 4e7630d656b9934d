"""The text of a first profile: what a person would write after reading the reference, with why beside it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.config import escaped
from runner.config.reading import DEFAULT_SAFETY_COPIES, DEFAULT_STATE
from runner.messages import Message, msg
from runner.model.profile import PostgresqlConfig

_PLAIN: Final = re.compile(r"(?:[^\W\d]|/|~/|\.{1,2}/)(?:[\w./@+ -]*[\w./@+-])?")
"""What YAML takes for a text and nothing else, but for the words below."""

_WORDS_OF_YAML: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class FromDjango:
    """A Django project whose settings are followed. What is None is found anew at every run."""

    manage: Path
    settings: str | None = None
    python: Path | None = None
    alias: str | None = None
    has_media: bool = True
    has_sessions: bool = False


@dataclass(frozen=True, slots=True)
class FromSqlite:
    """A database file, and the uploads beside it where there are any."""

    path: Path
    media: Path | None = None


@dataclass(frozen=True, slots=True)
class FromServer:
    """A PostgreSQL database by its address; its password, if it has one, stands in the variable `password`."""

    config: PostgresqlConfig
    password: str | None = None
    media: Path | None = None


Source = FromDjango | FromSqlite | FromServer


@dataclass(frozen=True, slots=True)
class Beginning:
    """A first profile, decided: paths are absolute, `folder` is the one of backup.yml."""

    folder: Path
    name: str
    source: Source
    destination: Path


def backup_text() -> str:
    """The whole backup.yml."""
    root = msg(
        "The root of this project: commands use the nearest backup.yml, here or above. Relative paths start here."
    )
    state = msg("Locks, work in progress, and what is known about each archive. Keep it out of synchronised folders.")
    return f"{_comment(root)}\nversion: 1\n\n{_comment(state)}\n# state: {DEFAULT_STATE}\n"


def profile_text(beginning: Beginning) -> str:
    """The whole file."""
    return "\n".join(line for part in _parts(beginning) for line in (*part, ""))


def password_variable(name: str) -> str:
    """The environment variable that a new profile reads its password from: `school-2` gives SCHOOL_2_DB_PASSWORD."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper()).lstrip("0123456789_") + "_DB_PASSWORD"


def _parts(beginning: Beginning) -> Iterator[list[str]]:
    folder = beginning.folder
    yield [
        _comment(
            msg("What is backed up as `{name}`, and where to. Check it: runner validate {name}", name=beginning.name)
        ),
        "version: 1",
    ]
    match beginning.source:
        case FromDjango() as source:
            yield _app(source, folder)
            if source.has_sessions:
                yield [
                    "database:",
                    _comment(msg("Sessions end when a backup is restored; the table itself comes back, empty."), "  "),
                    "  exclude_table_data: [django_session]",
                ]
            if source.has_media:
                yield ["media:", *_media_wishes()]
        case FromSqlite() as source:
            yield ["database:", "  engine: sqlite", f"  path: {_path(source.path, folder)}"]
            yield from _media(source.media, folder)
        case FromServer() as source:
            yield list(_server(source))
            yield from _media(source.media, folder)
    yield [
        "destinations:",
        _comment(msg("A folder that exists: one that is missing is most often a disk that is not connected."), "  "),
        f"  - {{type: local, path: {_path(beginning.destination, folder)}}}",
    ]
    yield [
        "restore:",
        *(["  variants: [full, db-only, media-only]"] if _has_both(beginning.source) else []),
        _comment(msg("What a restore replaces is kept here first, so that `runner undo` can bring it back."), "  "),
        f"  safety_copy: {{path: {DEFAULT_SAFETY_COPIES}, keep_last: 3}}",
    ]


def _has_both(source: Source) -> bool:
    return source.has_media if isinstance(source, FromDjango) else source.media is not None


def _app(source: FromDjango, folder: Path) -> list[str]:
    words = {
        "manage": _path(source.manage, folder),
        "settings": None if source.settings is None else scalar(source.settings),
        "python": None if source.python is None else _path(source.python, folder),
        "database": None if source.alias is None else scalar(source.alias),
        "media": None if source.has_media else "false",
    }
    return [
        _comment(
            msg(
                "Database, uploads and the columns that name files: the settings of the project say them, at every run."
            )
        ),
        "app:",
        "  django:",
        *(f"    {key}: {value}" for key, value in words.items() if value is not None),
    ]


def _server(source: FromServer) -> Iterator[str]:
    config = source.config
    yield from ("database:", "  engine: postgresql", f"  name: {scalar(escaped(config.name))}")
    if config.host is not None:
        yield f"  host: {scalar(escaped(config.host))}"
    if config.port is not None:
        yield f"  port: {config.port}"
    if config.user is not None:
        yield f"  user: {scalar(escaped(config.user))}"
    where = msg(
        "Never the password itself, only where it stands: {ways}.",
        ways="{env: NAME}, {file: PATH}, {command: [PROGRAM]}",
    )
    yield _comment(where, "  ")
    if source.password is not None:
        yield f"  password: {{env: {source.password}}}"
    else:
        yield _comment(msg("Without one, libpq's own ways are used: .pgpass, peer authentication."), "  ")
    if config.sslmode is not None:
        yield f"  sslmode: {scalar(config.sslmode)}"
    if config.sslrootcert is not None:
        yield f"  sslrootcert: {scalar(escaped(config.sslrootcert.as_posix()))}"


def _media(media: Path | None, folder: Path) -> Iterator[list[str]]:
    if media is None:
        return
    yield [
        "media:",
        f"  root: {_path(media, folder)}",
        *_media_wishes(),
        _comment(msg("Every file that these columns name must be in the backup, or there is none."), "  "),
        "  # references:",
        "  #   - {table: finance_payment, column: receipt}",
    ]


def _media_wishes() -> list[str]:
    return [
        '  exclude: ["*.tmp", Thumbs.db, .DS_Store]',
        _comment(msg("Folders that must be there: a disk that is not mounted must not become an empty backup."), "  "),
        "  # required: [payment_receipts]",
    ]


def _comment(text: Message, indent: str = "") -> str:
    """In the language of whoever begins."""
    return f"{indent}# {text.localized()}"


def _path(path: Path, folder: Path) -> str:
    """A path as a person would write it: relative in the project, from `~` in the home folder, otherwise whole."""
    home = Path.home()
    if path.is_relative_to(folder):
        text = escaped(path.relative_to(folder).as_posix())
        text = f"./{text}" if text.startswith("~") else text
    elif path.is_relative_to(home):
        text = "~/" + escaped(path.relative_to(home).as_posix())
    else:
        text = escaped(path.as_posix())
    return scalar(text)


def scalar(text: str) -> str:
    """A text as YAML: as it is where nothing could be misread, otherwise in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)
