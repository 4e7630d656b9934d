"""Where paths lead, and whether one place lies inside another.

The comparison works on pure paths of either system, so that the rules of Windows (no case, drives, both slashes) hold
and can be tried anywhere; `resolved` alone asks the file system.
"""

import ntpath
import posixpath
from pathlib import Path, PurePath, PureWindowsPath
from typing import TypeVar

P = TypeVar("P", bound=PurePath)


def located(text: str, folder: P) -> P:
    """The absolute path that `text` means in `folder`, with `..` taken out."""
    system = ntpath if isinstance(folder, PureWindowsPath) else posixpath
    return type(folder)(system.normpath(folder / text))


def resolved(path: Path) -> Path:
    """`path` with its links followed as far as it exists; as it is where they lead in a circle or cannot be read."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle before Python 3.13; a NUL
        return path


def inside(path: PurePath, folder: PurePath) -> bool:
    """Whether `path` is `folder` or lies below it.

    Where both exist the file system is asked as well: two spellings (macOS ignores case, too) or two mounts may be one.
    """
    if path == folder or folder in path.parents:
        return True
    if not isinstance(path, Path) or not isinstance(folder, Path):
        return False
    there = _identity(folder)
    return there is not None and any(_identity(each) == there for each in (path, *path.parents))


def overlap(one: PurePath, other: PurePath) -> bool:
    """Whether one of two folders lies inside the other."""
    return inside(one, other) or inside(other, one)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
