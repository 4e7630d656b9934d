"""Profiles that follow an application's own settings: what they may still say, and how the two are put together.

The settings are asked by whoever calls, never from here. Until they have been, a profile is checked with values of
which nothing is believed but their kind, so that `validate` runs where the application does not.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from runner.config.document import Document, Value
from runner.config.place import KeyPath, Position
from runner.config.reading import UNASKED, Candidate, Told
from runner.messages import msg
from runner.model.problem import Problem
from runner.model.profile import DjangoApp

DJANGO: Final[KeyPath] = ("app", "django")
DEFAULT_MANAGE: Final = "manage.py"

Follow = Callable[[DjangoApp], Told]
"""Asks the settings of an application. Raises RunnerError."""

_SAID_THERE: Final[tuple[KeyPath, ...]] = (
    *(("database", key) for key in ("engine", "host", "name", "password", "path", "port", "sslmode", "user")),
    ("database", "sslrootcert"),
    ("media", "root"),
    ("media", "url"),
)


def settings_say_it(candidate: Candidate) -> Iterator[Problem]:
    """What a profile says itself though the settings of its application say it."""
    for path in _SAID_THERE:
        if candidate.profile.has(*DJANGO) and _is_own(candidate.document, path):
            message = msg("the settings of the Django project say it")
            hint = msg("remove it here, or remove `app` and write the whole `{part}`", part=path[0])
            yield candidate.document.problem(path, message, hint=hint, of_key=True)


def with_settings(candidate: Candidate, told: Told) -> Candidate:
    """The candidate with what the settings say below what its own file says, and above the defaults."""
    values = told.values or _stand_ins(candidate)
    document = _less_defaults(candidate.document, values)
    stand = document.position(DJANGO, of_key=True)
    places = dict(_positions(values, stand))
    below = Document(document.file, dict(values), places, places)
    return replace(candidate, profile=replace(candidate.profile, document=document.over(below)), app=told)


def unasked(candidate: Candidate) -> Candidate:
    """The candidate of a profile with an application whose settings are not asked."""
    return with_settings(candidate, UNASKED)


def _less_defaults(document: Document, values: Mapping[str, Value]) -> Document:
    """The document without the defaults of backup.yml for what the settings say, or say is not there."""
    data = document.data
    if not isinstance(data, dict):
        return document
    for part in ("database", "media"):
        found = data.get(part)
        if part not in values and not _is_own(document, (part,)):
            data = {key: value for key, value in data.items() if key != part}
        elif isinstance(found, dict):
            said = {path[1] for path in _SAID_THERE if path[0] == part and not _is_own(document, path)}
            data = {**data, part: {key: value for key, value in found.items() if key not in said}}
    return replace(document, data=data)


def _is_own(document: Document, path: KeyPath) -> bool:
    """Whether the profile's own file says it, and not the defaults of backup.yml."""
    return document.has(path) and document.position(path, of_key=True).file == document.file


def _stand_ins(candidate: Candidate) -> dict[str, Value]:
    """What no two profiles share, and no folder of a person's holds."""
    nowhere = Path(candidate.profile.folder.anchor, f"settings-of-{candidate.name}".replace("$", "$$"))
    database: dict[str, Value] = {"engine": "postgresql", "name": nowhere.name, "host": f"{nowhere.name}.invalid"}
    values: dict[str, Value] = {}
    if not _is_own(candidate.document, ("database", "engine")):  # which is a mistake that is told by itself
        values["database"] = database
    if candidate.profile.document.at((*DJANGO, "media")) is not False:
        values["media"] = {"root": str(nowhere)}
    return values


def _positions(values: Mapping[str, Value], stand: Position) -> Iterator[tuple[KeyPath, Position]]:
    """The place of `app.django`, for each value that comes from there."""
    stack: list[tuple[KeyPath, Value]] = [((key,), value) for key, value in values.items()]
    while stack:
        path, value = stack.pop()
        yield path, stand
        if isinstance(value, dict):
            stack += [((*path, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            stack += [((*path, index), each) for index, each in enumerate(value)]
