"""Reaches what lies beneath one folder, and never anything else: no part of a way may be a link.

Where the system has it, every step is taken relative to an open folder, so that nobody can slip a link in between.
"""

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_REPARSE_POINT = 0x400
BY_DESCRIPTOR = {os.open, os.mkdir, os.symlink, os.stat}.issubset(os.supports_dir_fd)

Parts = tuple[bytes, ...]


class Place:
    """A real folder. `at` gives a name in it, to be used together with `descriptor` as `dir_fd`."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor

    def at(self, name: bytes) -> str:
        return os.fsdecode(name) if self.descriptor is not None else str(self.path / os.fsdecode(name))

    def close(self) -> None:
        """May be called again: a signal's exception may come between this and whoever notes it."""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class Beneath:
    """The folders beneath `root`, one open at a time. Use as a context manager."""

    def __init__(self, root: Path) -> None:
        """Raises OSError when `root` is not a real folder."""
        self.root = root
        self._top = _open(str(root), None, root)
        self._parts: Parts = ()
        self._place = self._top

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        self._top.close()

    def folder(self, parts: Parts) -> Place:
        """The folder at `parts`, good until the next call. Raises OSError when a part is missing or no folder."""
        if parts != self._parts:
            if parts[: len(self._parts)] != self._parts:
                self._leave()
            for number, part in enumerate(parts[len(self._parts) :], len(self._parts) + 1):
                deeper = _open(self._place.at(part), self._place.descriptor, self._place.path / os.fsdecode(part))
                self._leave()
                self._place, self._parts = deeper, parts[:number]
        return self._place

    def _leave(self) -> None:
        """Back to the top; what was open below it is closed."""
        if self._place is not self._top:
            self._place.close()
        self._place, self._parts = self._top, ()


def is_real_folder(path: Path) -> bool:
    """Whether there is a folder of this name, and no link to one."""
    try:
        return _is_folder(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_folder(found: os.stat_result) -> bool:
    reparse = getattr(found, "st_file_attributes", 0) & _REPARSE_POINT
    return stat.S_ISDIR(found.st_mode) and not reparse


def _open(name: str, parent: int | None, path: Path) -> Place:
    if BY_DESCRIPTOR and sys.platform != "win32":
        return Place(path, os.open(name, _FOLDER, dir_fd=parent))
    if not _is_folder(path.lstat()):
        raise NotADirectoryError(f"no real folder: {path}")
    return Place(path, None)
