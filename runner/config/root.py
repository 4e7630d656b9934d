"""The project: where backup.yml is, what it says, which profiles there are, and what they share.

`find_root` gives a `Root` whose backup.yml is right; what is wrong with it is raised there, all at once. Profiles are
named here, not read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runner.config.compose import read_document
from runner.config.document import Document
from runner.config.locations import located
from runner.config.place import Position, shown
from runner.config.reading import Candidate, Reading
from runner.config.schema_check import check_schema
from runner.config.schemas import schema_data
from runner.config.suggest import closest
from runner.config.variables import misspelt
from runner.errors import ConfigurationInvalid, UsageError
from runner.messages import msg
from runner.model.problem import Problem

BACKUP_FILE: Final = "backup.yml"
PROFILES_FOLDER: Final = "profiles"
SUFFIXES: Final = frozenset({".yml", ".yaml"})

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A project. `cwd` is where paths are shown from, `folder` where the relative paths of its files start.

    `file` is None for a profile outside any project; `document` is empty then. `files` are the profiles, by name,
    of `profiles`.
    """

    cwd: Path
    folder: Path
    file: Path | None = None
    document: Document = field(default=Document(BACKUP_FILE))
    files: tuple[Path, ...] = ()
    profiles: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the profiles."""
        return tuple(dict.fromkeys(file.stem for file in self.files))

    def file_of(self, name: str) -> Path | None:
        """The file of a profile."""
        return next((file for file in self.files if file.stem == name), None)

    def candidate(self, file: Path, environ: Mapping[str, str]) -> Candidate:
        """Read a profile, with the defaults below it. What is wrong with it is in its document.

        Defaults of a database or of media are for the profiles that have one: they give none to those that do not.
        """
        document = read_document(file, shown(file, self.cwd))
        if isinstance(document.data, dict):
            parts = () if "app" in document.data else ("database", "media")
            absent = (part for part in parts if part not in document.data)
            document = document.over(self.document.below(("defaults",)).without(*absent))
        return Candidate(
            name=file.stem,
            source=file,
            profile=Reading(document, self.folder, environ),
            project=Reading(self.document, self.folder, environ),
            misspelt=_misspelt(document),
        )

    def misnamed(self, file: Path) -> Iterator[Problem]:
        """What is wrong with the name of a profile's file."""
        start = Position(shown(file, self.cwd), 1, 1)
        if not is_profile_name(file.stem):
            message = msg("the file's name is no name for a profile")
            hint = msg("begin with a letter or digit, and use letters, digits, `.`, `_` and `-`")
            yield start.problem(message, hint=hint)
        # By any case: the name becomes a folder below the state folder, and Windows and macOS have one for both.
        first = next((each for each in self.files if each.stem.casefold() == file.stem.casefold()), file)
        if first != file:
            message = msg("another profile has the same name: {first}", first=shown(first, self.cwd))
            yield start.problem(message, hint=msg("rename one of the two files"))


def find_root(explicit: Path | None, cwd: Path, selection: Sequence[str] = ()) -> Root:
    """The project of `explicit`, or of the nearest backup.yml in `cwd` or above it.

    Where `selection` names files alone, none is needed. Raises `UsageError` where there is none, and
    `ConfigurationInvalid` with every problem of a wrong one.
    """
    file = located(str(explicit), cwd) if explicit is not None else nearest(cwd)
    if file is None:
        if selection and all(map(is_file_name, selection)):
            return Root(cwd, cwd)
        raise UsageError(
            msg("there is no {name} here or above", name=BACKUP_FILE),
            where=str(cwd),
            hint=msg("`runner init` writes one; or name one with `-c FILE`"),
        )
    if explicit is not None and not file.exists():
        raise UsageError(
            msg("there is no such file"), where=str(explicit), hint=msg("name a backup.yml with `-c FILE`")
        )
    return open_root(file, cwd)


def root_of(file: Path, cwd: Path) -> Root:
    """The project above the profile `file`, if that names it as one of its own; otherwise one of this file alone."""
    above = nearest(file.parent)
    if above is not None and file in (root := open_root(above, cwd)).files:
        return root
    in_profiles = file.parent.name == PROFILES_FOLDER
    return Root(cwd, file.parent.parent if in_profiles else file.parent, files=(file,))


def is_profile_name(name: str) -> bool:
    """Whether a profile may be called so."""
    return _NAME.fullmatch(name) is not None


def is_file_name(name: str) -> bool:
    """Whether a person who writes `name` means a file, and not a profile by its name."""
    return "/" in name or "\\" in name or Path(name).suffix.lower() in SUFFIXES


def nearest(folder: Path) -> Path | None:
    """The backup.yml in `folder`, or in the nearest folder above it."""
    return next((file for each in (folder, *folder.parents) if (file := each / BACKUP_FILE).is_file()), None)


def open_root(file: Path, cwd: Path) -> Root:
    """The project of a backup.yml. Raises `ConfigurationInvalid` with every problem of it."""
    document = read_document(file, shown(file, cwd))
    problems = list(document.problems)
    if document.data is not None:
        problems += check_schema(document, "backup")
    reading = Reading(document, file.parent, {})
    if (state := reading.text("state")) is not None and (mistake := misspelt(state)):
        problems.append(document.problem(("state",), mistake.message, hint=mistake.hint))
    folder = located(reading.text("profiles") or PROFILES_FOLDER, file.parent)
    files: tuple[Path, ...] = ()
    try:
        files = tuple(sorted(_profiles(folder)))
    except OSError:
        if not problems:
            message = msg("there is no folder {folder}", folder=shown(folder, cwd))
            hint = msg("make it, or write under `profiles` where the profiles are")
            problems.append(document.problem(("profiles",), message, hint=hint))
    if problems:
        raise invalid(problems)
    return Root(cwd, file.parent, file, document, files, folder)


def invalid(problems: Iterable[Problem]) -> ConfigurationInvalid:
    """The error that carries `problems`, in order."""
    findings = [problem.as_finding() for problem in in_order(problems)]
    if len(findings) == 1:
        return ConfigurationInvalid(msg("the configuration has a problem"), findings)
    return ConfigurationInvalid(msg("the configuration has {count} problems", count=len(findings)), findings)


def _misspelt(profile: Document) -> frozenset[str]:
    """The parts of a profile that its unknown keys probably stand for."""
    known = schema_data("profile")["properties"]
    keys = profile.data if isinstance(profile.data, dict) else {}
    return frozenset(near for key in keys if key not in known and (near := closest(key, known)))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems by their place, each once: what two profiles inherit from backup.yml is wrong in one place."""
    distinct = {(problem.position, str(problem.message)): problem for problem in problems}
    return tuple(problem for _, problem in sorted(distinct.items(), key=lambda item: item[0]))


def _profiles(folder: Path) -> Iterator[Path]:
    """The files of profiles in a folder; hidden files (an editor's, a synchroniser's) are none."""
    for file in folder.iterdir():
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file():
            yield file
