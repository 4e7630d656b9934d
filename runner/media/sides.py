"""What both ways of swapping a media root promise, and what they share."""

import os
from pathlib import Path
from typing import Protocol

from runner.errors import StepFailed
from runner.messages import msg, printable
from runner.model.marks import Inode, Side


class Swap(Protocol):
    """One way to put a staged tree in the place of the live one. Everything may be called again after a crash.

    Raises OSError, StepFailed when something else than the two trees of this restore is in the way.
    """

    def side(self) -> Side:
        """Which tree is live, from what is really there."""
        ...

    def forward(self) -> None:
        """The staged tree becomes the live one."""
        ...

    def back(self) -> None:
        """The old tree becomes the live one again, and the new one the staged one."""
        ...

    def staged(self) -> Path | None:
        """Where the staged tree is; None once it is live, or gone."""
        ...

    def replaced(self) -> Path | None:
        """Where the old tree is after `forward`; None when there is none, or it was taken away."""
        ...

    def dress(self, folder: Path) -> None:
        """Give `folder`, the staged or the old tree on its way to another place, its own attributes back."""
        ...

    def carried(self) -> Path:
        """Where the list of what was carried over is kept: beside the old tree."""
        ...

    def clear(self) -> None:
        """Remove what this way needed for itself; neither of the trees is there any more but the live one."""
        ...


def inode_of(path: Path) -> Inode | None:
    """What is at `path`; None when there is nothing."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (found.st_dev, found.st_ino)


def in_the_way(path: Path) -> StepFailed:
    """The error for a name that somebody else took."""
    return StepFailed(
        msg("something else appeared there while the media folder was being replaced; it is left as it is"),
        where=printable(os.fspath(path)),
        hint=msg("stop the application, move what appeared to another place, then run `runner recover`"),
    )


def not_found(path: Path) -> StepFailed:
    """The error for a folder of this restore that somebody took away."""
    return StepFailed(
        msg("neither the old nor the new media folder of this restore is where it was left"),
        where=printable(os.fspath(path)),
        hint=msg("look for the folders with this restore's id beside it, and put the right one back by hand"),
    )
