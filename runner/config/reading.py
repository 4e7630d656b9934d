"""A document as the rules and the builder look at it: typed, tolerant, with variables filled in.

What is absent or of another type than asked for reads as absent: that is the schema's business, and no rule stumbles
over it. Paths are located only where all their variables are set.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runner.config.document import Document, Value
from runner.config.locations import located, resolved
from runner.config.place import KeyPath
from runner.config.variables import Expanded, expand, misspelt
from runner.errors import Finding

_NO_PATH: Final = re.compile(r"://|[\x00-\x1f]")

DEFAULT_STATE: Final = ".runner"
DEFAULT_SAFETY_COPIES: Final = "backups_local"
SAFETY_DATABASE: Final = ("restore", "safety_copy", "database")
DEFAULT_ARCHIVE_NAME: Final = "{profile}_backup_{timestamp}.zip"

EXPANDED: Final = frozenset(
    {
        "app.django.manage",
        "app.django.python",
        "database.host",
        "database.name",
        "database.user",
        "database.password.file",
        "database.sslrootcert",
        "database.tools.bin",
        "database.path",
        "media.root",
        "destinations[].path",
        "restore.safety_copy.path",
        "restore.admin.user",
        "restore.admin.password.file",
    }
)
"""The values in which variables are filled in, `[]` for each item of a list."""


def is_expanded(path: KeyPath) -> bool:
    """Whether variables are filled in at `path`."""
    return ".".join("[]" if isinstance(step, int) else step for step in path).replace(".[]", "[]") in EXPANDED


@dataclass(frozen=True, slots=True)
class Reading:
    """`document`, whose relative paths start at `folder` and whose variables `environ` holds."""

    document: Document
    folder: Path
    environ: Mapping[str, str]

    def has(self, *path: str | int) -> bool:
        return self.document.has(path)

    def text(self, *path: str | int) -> str | None:
        value = self.document.at(path)
        return value if isinstance(value, str) else None

    def flag(self, *path: str | int, default: bool) -> bool:
        value = self.document.at(path)
        return value if isinstance(value, bool) else default

    def number(self, *path: str | int) -> int | None:
        value = self.document.at(path)
        return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def items(self, *path: str | int) -> range:
        """The indices of a list."""
        value = self.document.at(path)
        return range(len(value)) if isinstance(value, list) else range(0)

    def texts(self, *path: str | int) -> Iterator[tuple[KeyPath, str]]:
        """The texts in a list, each with its path."""
        for index in self.items(*path):
            if (text := self.text(*path, index)) is not None:
                yield (*path, index), text

    def filled(self, *path: str | int) -> Expanded | None:
        """A text with its variables filled in."""
        text = self.text(*path)
        return None if text is None else expand(text, self.environ)

    def location(self, *path: str | int, default: str | None = None) -> Path | None:
        """Where a path really leads, its links followed; None where that is not known."""
        text = self.text(*path) if self.has(*path) else default
        if not text or _NO_PATH.search(text) or misspelt(text) or (filled := expand(text, self.environ)).unset:
            return None
        return resolved(located(filled.text, self.folder))


@dataclass(frozen=True, slots=True)
class Told:
    """What an application's settings say: `values` as a profile would say it, and what is to be told of it."""

    values: Mapping[str, Value] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()


UNASKED: Final = Told()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile on its way from a file to a `Profile`: it may still be wrong anywhere.

    `profile` reads the file with the defaults below it, `project` reads backup.yml; `misspelt` are the parts that an
    unknown key probably stands for. `app` is what the settings of an application say, `UNASKED` where they have not
    been asked and None where the profile names no application.
    """

    name: str
    source: Path
    profile: Reading
    project: Reading
    misspelt: frozenset[str] = frozenset()
    app: "Told | None" = None

    def lacks(self, part: str) -> bool:
        """Whether the profile has no such part, and no key that is a misspelt one."""
        return not self.profile.has(part) and part not in self.misspelt

    @property
    def document(self) -> Document:
        return self.profile.document

    @property
    def instance(self) -> str:
        return self.project.text("instance") or self.name

    @property
    def archive_name(self) -> str | None:
        """The archive's name with all but `{timestamp}` filled in; None where it is not a text."""
        name = self.profile.text("archive", "name") if self.profile.has("archive", "name") else DEFAULT_ARCHIVE_NAME
        return name and name.replace("{profile}", self.name).replace("{instance}", self.instance)
