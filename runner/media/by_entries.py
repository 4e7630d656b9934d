"""Swaps what lies in a root that cannot be renamed, entry by entry, through two folders inside it.

    .runner-<run_id>.new/   content/   the staged tree
                            root/      empty; has the new root's owner, mode and time
    .runner-<run_id>.old/   content/   the old tree; there from the first step of the swap to the last step back
                            root/      empty; has the old root's
                            up         there while what lies in the root is new

The swap is one line of steps that can be walked in both directions: the old entries down, `up` made, the new entries
up, the root's attributes, `.new/root` removed. Where it stopped is told by these names alone.
"""

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from runner.durable import flush_folder
from runner.media.exchange import move_alone, rename_alone
from runner.media.owners import Owners
from runner.media.sides import not_found
from runner.media.trees import copy_attributes, remove_tree, unchanged_time
from runner.model.marks import MediaMarks, Side

_PRIVATE = 0o700
_MOST_NAMES = 1000


class EntriesSwap:
    """See `Swap`. The root keeps its own time of change, unless a crash falls between a change and setting it back."""

    def __init__(self, marks: MediaMarks) -> None:
        self._root = Path(marks.root)
        self._new = Path(marks.staged)
        self._old = Path(marks.replaced)
        self._up = self._old.parent / "up"
        self._new_root = self._new.parent / "root"
        self._old_root = self._old.parent / "root"
        self._settled = marks.settled

    @property
    def _own_names(self) -> frozenset[str]:
        """What in the root belongs to no tree."""
        return frozenset((self._new.parent.name, self._old.parent.name))

    def side(self) -> Side:
        if not self._root.is_dir():
            return Side.UNCLEAR
        if os.path.lexists(self._up):
            return Side.PARTLY if os.path.lexists(self._new_root) else Side.NEW
        if os.path.lexists(self._old):
            return Side.PARTLY
        return Side.NEW if self._settled else Side.OLD

    def prepare(self) -> None:
        """Make the place in which the tree is staged."""
        with unchanged_time(self._root):
            self._new.parent.mkdir(_PRIVATE)
        flush_folder(self._root)

    def finish(self) -> None:
        """Note the staged root's attributes where no entry moves, and open the folder to what moves."""
        self._note(self._new, self._new_root)
        self._new.chmod(_PRIVATE)

    def dress(self, folder: Path) -> None:
        """Give the staged or the old tree's folder, on its way out, the attributes that were noted for it."""
        noted = self._new_root if folder == self._new else self._old_root
        if noted.exists():
            copy_attributes(noted, folder, Owners(None))
            flush_folder(folder)

    def forward(self) -> None:
        if self.side() is Side.NEW:
            return
        if not os.path.lexists(self._new_root) or not os.path.lexists(self._new):
            raise not_found(self._root)
        if not os.path.lexists(self._up):
            self._begin()
            self._down(self._old)
            self._up.mkdir(_PRIVATE)
            flush_folder(self._up.parent)
        self._rise(self._new)
        self._attributes_from(self._new_root)
        self._new_root.rmdir()
        flush_folder(self._new.parent)

    def back(self) -> None:
        if self.side() is Side.OLD:
            return
        if not os.path.lexists(self._old):
            raise not_found(self._root)
        if os.path.lexists(self._up):
            self._back_in_line()
            self._down(self._new)
            self._up.rmdir()
            flush_folder(self._up.parent)
        self._rise(self._old)
        if self._old_root.exists():
            self._attributes_from(self._old_root)
        self._old.rmdir()
        flush_folder(self._old.parent)
        self._remove(self._old.parent)

    def staged(self) -> Path | None:
        return self._new if self.side() is Side.OLD and self._new.exists() else None

    def replaced(self) -> Path | None:
        return self._old if os.path.lexists(self._up) and self._old.exists() else None

    def carried(self) -> Path:
        return self._old.parent / "carried"

    def clear(self) -> None:
        """Before the swap, or after the old tree has gone: both folders go. `up` goes last, with its folder."""
        if self.side() is Side.PARTLY or self.replaced() is not None:
            raise not_found(self._root)
        self._remove(self._new.parent)
        self._remove(self._old.parent)

    def _begin(self) -> None:
        """The old tree's folder, last: from then on the swap has begun."""
        if os.path.lexists(self._old):
            return
        if os.path.lexists(self._old.parent):
            self._remove(self._old.parent)  # stopped before it had begun
        with unchanged_time(self._root):
            self._old.parent.mkdir(_PRIVATE)
        self._note(self._root, self._old_root)
        flush_folder(self._root)
        self._old.mkdir(_PRIVATE)
        flush_folder(self._old.parent)

    def _back_in_line(self) -> None:
        """What the last step of the way forward removed, and the new root's folder if it was cleared already."""
        if not os.path.lexists(self._new_root):
            for folder in (self._new.parent, self._new):
                folder.mkdir(_PRIVATE, exist_ok=True)
            self._note(self._root, self._new_root)
            flush_folder(self._root)

    def _down(self, folder: Path) -> None:
        """Everything in the root goes into `folder`; also what appears meanwhile."""
        while entries := self._entries():
            for name in entries:
                with contextlib.suppress(FileNotFoundError):  # the application may have removed it
                    move_alone(self._root / name, _free_name(folder, name))
        self._flush(folder)

    def _rise(self, folder: Path) -> None:
        """Everything in `folder` goes into the root. What appeared there meanwhile is set aside, never replaced."""
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are what is wanted
            if os.path.lexists(self._root / name):
                aside = self._old if folder == self._new else self._new
                move_alone(self._root / name, _free_name(aside, name))
            move_alone(folder / name, self._root / name)
        self._flush(folder)

    def _entries(self) -> list[str]:
        return sorted(set(os.listdir(self._root)) - self._own_names)  # noqa: PTH208 - names are what is wanted

    def _note(self, source: Path, target: Path) -> None:
        """An empty folder with the attributes of another. Under its name only once it has them all."""
        making = target.with_name(f"{target.name}.making")
        remove_tree(making)
        making.mkdir(_PRIVATE)
        copy_attributes(source, making, Owners(None))
        flush_folder(making)
        rename_alone(making, target)
        flush_folder(target.parent)

    def _attributes_from(self, noted: Path) -> None:
        copy_attributes(noted, self._root, Owners(None))
        flush_folder(self._root)

    def _remove(self, folder: Path) -> None:
        if not os.path.lexists(folder):
            return
        with unchanged_time(self._root):
            _open_for_a_moment(self._root, lambda: remove_tree(folder))
        flush_folder(self._root)

    def _flush(self, folder: Path) -> None:
        flush_folder(folder)
        flush_folder(self._root)


def _open_for_a_moment(folder: Path, act: Callable[[], None]) -> None:
    """Do what needs a folder that its owner may write to."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IRWXU == stat.S_IRWXU:
        act()
        return
    folder.chmod(mode | stat.S_IRWXU)
    try:
        act()
    finally:
        folder.chmod(mode)


def _free_name(folder: Path, name: str) -> Path:
    """`name` in `folder`, or one like it when the application made the same one again meanwhile."""
    names = (name, *(f"{name}.appeared-{number}" for number in range(1, _MOST_NAMES)))
    return next(folder / free for free in names if not os.path.lexists(folder / free))
