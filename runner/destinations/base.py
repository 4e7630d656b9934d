"""What every destination promises.

Nothing but a complete, flushed archive ever carries a final name there, and no name is ever replaced. Every method
raises DestinationFailed for what goes wrong at the destination's side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A file at a destination."""

    name: str
    size_bytes: int


Verify = Callable[[BinaryIO], None]
"""Re-reads an archive from the place where it lies; raises ArchiveDamaged."""


class Destination(Protocol):
    """One place for archives. `label` names it for people and never holds a secret."""

    @property
    def label(self) -> str: ...

    def check(self) -> None:
        """Raises unless the place is there and can be written to."""
        ...

    def names(self) -> frozenset[str]:
        """Every name that is taken there."""
        ...

    def put(self, source: Path, name: str, verify: Verify | None, note_partial: Callable[[Path], None]) -> str:
        """Store the sealed archive `source` as `name`, or as `name` with `-2`, `-3`, … where that is taken.

        `verify`, when given, is called on the flushed copy before it gets its name. `note_partial` is told of a
        temporary local file before it is made. Returns the name.
        """
        ...

    def list(self) -> list[Stored]:
        """What lies there: files that end in `.zip`, in no particular order."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable stream of what is stored under `name`. Raises ArchiveUnknown when there is nothing."""
        ...

    def locate(self, name: str) -> str:
        """Where `name` lies, for people: a path or an address."""
        ...


def numbered(name: str, taken: frozenset[str]) -> str:
    """`name`, or the first of `name-2`, `name-3`, … that is not taken."""
    if name not in taken:
        return name
    stem, dot, suffix = name.rpartition(".")
    number = 2
    while (candidate := f"{stem}-{number}{dot}{suffix}") in taken:
        number += 1
    return candidate
