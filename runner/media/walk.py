"""Walks the media root in the order of the archive, without opening anything.

Folders come before what is in them, names sorted as bytes; memory grows with the depth and the widest folder only.
What cannot be saved comes as an `Obstacle`: nothing is passed over in silence.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runner.media.select import Selection

_QUESTIONS = 3
_OFFLINE = 0x1000
_RECALL_ON_OPEN = 0x40000
_RECALL_ON_DATA_ACCESS = 0x400000


class ObstacleKind(StrEnum):
    """Why something below the root is not saved."""

    SPECIAL = "special"
    LINK_OUTSIDE = "link-outside"
    UNREADABLE = "unreadable"
    PLACEHOLDER = "placeholder"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Node:
    """A file, folder or link. `path` is relative with `/` (empty for the root), `target` of a link as it stands."""

    path: str
    status: os.stat_result
    target: str | None = None

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something below the root that is not saved; `detail` says what it is or what the system said."""

    kind: ObstacleKind
    path: str
    detail: str


def walk(root: Path, selection: Selection) -> Iterator[Node | Obstacle]:
    """Everything below `root` that `selection` keeps, the root first. Raises OSError when the root cannot be listed."""
    real_root = Path(os.path.realpath(root))
    yield Node("", real_root.stat())
    stack = [iter(_listed(real_root, "", selection))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        found = _node(real_root, entry)
        yield found
        if isinstance(found, Node) and found.is_directory:
            try:
                stack.append(iter(_listed(real_root, found.path, selection)))
            except FileNotFoundError:
                yield Obstacle(ObstacleKind.VANISHED, found.path, "folder")
            except OSError as error:
                yield Obstacle(ObstacleKind.UNREADABLE, found.path, error.strerror or str(error))


def is_placeholder(attributes: int) -> bool:
    """Whether a Windows file with these attributes is a cloud placeholder whose content is not on this disk."""
    return bool(attributes & (_OFFLINE | _RECALL_ON_OPEN | _RECALL_ON_DATA_ACCESS))


def special_kind(mode: int) -> str | None:
    """What a file is that is neither plain file, folder nor link; None for those."""
    kinds = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "FIFO", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return kinds.get(stat.S_IFMT(mode))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a listing said. A folder and a file sort differently, so an entry that became the other has no place."""

    path: str
    full: str
    is_directory: bool


def _listed(root: Path, folder: str, selection: Selection) -> list[_Entry]:
    """The kept entries of one folder, in the order of the archive."""
    with os.scandir(root / folder) as entries:
        found = [(entry.name, entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
    prefix = f"{folder}/" if folder else ""
    found.sort(key=lambda entry: os.fsencode(entry[0]) + (b"/" if entry[2] else b""))
    kept = (_Entry(f"{prefix}{name}", full, is_directory) for name, full, is_directory in found)
    return [entry for entry in kept if not selection.excludes_entry(entry.path)]


def _node(root: Path, entry: _Entry) -> Node | Obstacle:
    try:
        status = os.lstat(entry.full)
        return _obstacle(entry, status) or _link(root, entry, status) or Node(entry.path, status)
    except FileNotFoundError:
        return Obstacle(ObstacleKind.VANISHED, entry.path, "folder" if entry.is_directory else "file")
    except OSError as error:
        return Obstacle(ObstacleKind.UNREADABLE, entry.path, error.strerror or str(error))


def _obstacle(entry: _Entry, status: os.stat_result) -> Obstacle | None:
    """What keeps this from being saved, as far as it can be known without opening it."""
    if stat.S_ISDIR(status.st_mode) is not entry.is_directory:
        return Obstacle(ObstacleKind.UNREADABLE, entry.path, "it became something else meanwhile")
    if special := special_kind(status.st_mode):
        return Obstacle(ObstacleKind.SPECIAL, entry.path, special)
    if is_placeholder(getattr(status, "st_file_attributes", 0)):
        return Obstacle(ObstacleKind.PLACEHOLDER, entry.path, "not on this disk")
    if stat.S_ISREG(status.st_mode) and _is_closed(entry.full):
        return Obstacle(ObstacleKind.UNREADABLE, entry.path, "permission denied")
    return None


def _is_closed(path: str) -> bool:
    """Whether a file may not be read. Raises FileNotFoundError when it is gone, and asks again when it is back."""
    for _ in range(_QUESTIONS):
        if os.access(path, os.R_OK):
            return False
        os.lstat(path)
    return True


def _link(root: Path, entry: _Entry, status: os.stat_result) -> Node | Obstacle | None:
    if not stat.S_ISLNK(status.st_mode):
        return None
    target = os.readlink(entry.full)  # noqa: PTH115 - the bytes as they stand; Path would tidy them
    if not Path(os.path.realpath(entry.full)).is_relative_to(root):
        return Obstacle(ObstacleKind.LINK_OUTSIDE, entry.path, target)
    return Node(entry.path, status, target)
