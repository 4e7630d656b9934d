"""Swaps whole folders that lie side by side, by one exchange or by two renames. Inodes tell how far it came."""

from pathlib import Path

from runner.durable import flush_folder
from runner.media.exchange import Exchange, rename_alone
from runner.media.sides import in_the_way, inode_of, not_found
from runner.model.marks import Inode, MediaMarks, Side


class RenameSwap:
    """See `Swap`. With two renames there is an instant without a root: PARTLY."""

    def __init__(self, marks: MediaMarks, exchange: Exchange) -> None:
        self._root = Path(marks.root)
        self._staged = Path(marks.staged)
        self._replaced = Path(marks.replaced)
        self._old = marks.live_inode
        self._new = marks.staged_inode
        self._exchange = exchange

    def side(self) -> Side:
        here = inode_of(self._root)
        if here is not None:
            known = {self._old: Side.OLD, self._new: Side.NEW}
            return known.get(here, Side.UNCLEAR)
        if self._old is None:
            return Side.OLD
        return Side.PARTLY if self._find(self._old) is not None else Side.UNCLEAR

    def forward(self) -> None:
        match self.side():
            case Side.OLD:
                self._replace()
            case Side.PARTLY:
                self._into_place(self._needed(self._new))
            case Side.UNCLEAR:
                raise self._unclear()
            case Side.NEW:
                pass
        self._settle(self._old, self._replaced)

    def back(self) -> None:
        match self.side():
            case Side.NEW if self._old is None:
                self._rename(self._root, self._staged)
            case Side.NEW:
                old = self._needed(self._old)
                if not self._exchange(old, self._root):
                    self._rename(self._root, self._free(old))
                    self._into_place(old)
                self._flush()
            case Side.PARTLY:
                self._into_place(self._needed(self._old))
            case Side.UNCLEAR if inode_of(self._staged) == self._new and self._find(self._old) is None:
                pass  # another folder has taken the old one's place before anything of ours moved
            case Side.UNCLEAR:
                raise self._unclear()
            case Side.OLD:
                pass
        self._settle(self._new, self._staged)

    def staged(self) -> Path | None:
        return self._find(self._new)

    def replaced(self) -> Path | None:
        return self._find(self._old)

    def dress(self, folder: Path) -> None:
        """Nothing to do: the folder has been itself all the time."""

    def carried(self) -> Path:
        return self._replaced.with_name(self._replaced.name + ".carried")

    def clear(self) -> None:
        self._flush()

    def _replace(self) -> None:
        new = self._needed(self._new)
        if self._old is None:
            self._into_place(new)
        elif self._exchange(new, self._root):
            self._flush()
        else:
            self._rename(self._root, self._replaced)
            self._into_place(new)

    def _into_place(self, folder: Path) -> None:
        try:
            self._rename(folder, self._root)
        except FileExistsError:
            raise in_the_way(self._root) from None

    def _settle(self, inode: Inode | None, place: Path) -> None:
        """After an exchange the tree that is not live stands under the other one's name."""
        found = self._find(inode)
        if found is not None and found != place:
            self._rename(found, place)
        self._flush()

    def _free(self, taken: Path) -> Path:
        return self._staged if taken == self._replaced else self._replaced

    def _find(self, inode: Inode | None) -> Path | None:
        """Which of the two other names a tree has."""
        if inode is None:
            return None
        return next((path for path in (self._staged, self._replaced) if inode_of(path) == inode), None)

    def _needed(self, inode: Inode | None) -> Path:
        found = self._find(inode)
        if found is None:
            raise not_found(self._root)
        return found

    def _rename(self, source: Path, target: Path) -> None:
        rename_alone(source, target)
        self._flush()

    def _flush(self) -> None:
        flush_folder(self._root.parent)

    def _unclear(self) -> Exception:
        gone = inode_of(self._root) is None
        return not_found(self._root) if gone else in_the_way(self._root)
