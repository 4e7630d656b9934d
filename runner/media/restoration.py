"""The media half of a restore: a new tree beside the live one, swapped in, and the old one kept or let go.

Nothing here knows of archives or databases. Every step can be taken up by another process from the marks alone.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from runner.durable import flush_folder, make_private_folder, same_file_system
from runner.errors import Finding, SourceMissing, StepFailed
from runner.lanes import Stop
from runner.media.beneath import is_real_folder
from runner.media.by_entries import EntriesSwap
from runner.media.by_rename import RenameSwap
from runner.media.carry import carry, carry_back, making_at
from runner.media.entries import Incoming, Staged
from runner.media.exchange import Exchange, exchange_folders, move_alone, moved, rename_alone
from runner.media.failures import mapped
from runner.media.owners import Owners
from runner.media.preflight import MediaPreflight, inspect_site
from runner.media.removal import doom, doomed
from runner.media.select import Selection
from runner.media.sides import Swap, in_the_way, inode_of, not_found
from runner.media.site import LiveMedia, Site, Way
from runner.media.staging import TreeWriter
from runner.media.traits import FileSystemTraits, probe_traits
from runner.media.trees import copy_tree, count, first_difference, remove_tree
from runner.messages import msg, printable
from runner.model.marks import MediaMarks, RunNames, Side

MediaNote = Callable[[MediaMarks], None]
"""Writes marks down durably; returns when they are on the disk. Called before the step that they are about."""

Advance = Callable[[int], object]


class MediaRestoration:
    """One media root on its way back: `look`, `preflight`, `stage` or `adopt`, `swap`, `carry`, `keep` or `let_go`.

    Up to `swap` the live root is untouched and in use. `side`, `swap`, `swap_back`, `carry`, `keep`, `let_go` and
    `discard` work in another process too, and may be called again after a crash in their middle. OSErrors come as
    StepFailed.
    """

    def __init__(
        self,
        root: Path,
        names: RunNames,
        marks: MediaMarks | None,
        *,
        exchange: Exchange = exchange_folders,
        traits: Callable[[Path], FileSystemTraits] = probe_traits,
        lanes: int = 1,
    ) -> None:
        """`lanes`: how many threads may write at once."""
        self._site = Site(root, names)
        self._marks = marks
        self._exchange = exchange
        self._traits = traits
        self._lanes = lanes
        self._stop = Stop()
        self.not_removed: Finding | None = None
        """Why the replaced tree, of which nobody needs the original any more, is still there."""

    @property
    def marks(self) -> MediaMarks:
        """The newest ones; before `stage` those that it would begin with."""
        if self._marks is None:
            with mapped(self._site.given):
                self._marks = self._site.marks(self._site.way())
        return self._marks

    @property
    def probe(self) -> Path:
        """A folder that `preflight` and `stage` make for a moment, to find out what may be done beside the root."""
        return self._site.probe()

    def look(self) -> LiveMedia:
        """What is there now."""
        with mapped(self._site.given):
            return self._site.look()

    def lies_on(self, folder: Path) -> bool:
        """Whether what is live can be moved to `folder` and need not be copied. Raises RunnerError."""
        with mapped(self._site.root):
            return same_file_system(self._site.root, folder)

    def count_excluded(self, exclude: tuple[str, ...]) -> tuple[int, int]:
        """Files and bytes that are live and that a backup with these patterns leaves out. Raises RunnerError."""
        with mapped(self._site.root):
            if not self._site.root.is_dir():
                return 0, 0
            found = count(self._site.root, Selection(exclude).excluding)
        return found.files, found.bytes

    def preflight(self, paths: Iterable[bytes], size_bytes: int) -> MediaPreflight:
        """All that can be known to fail. `paths` are all that comes back; `size_bytes` is what it takes."""
        with mapped(self._site.given):
            return inspect_site(self._site, paths, size_bytes, self._traits)

    def stop(self) -> None:
        """End what `stage` or `adopt` does in another thread, which raises Stopped there. May be called again."""
        self._stop.set()

    def stage(self, entries: Iterable[Incoming], note: MediaNote, advance: Advance) -> Staged:
        """Write the new tree beside the live one; everything compared with what was recorded, and on the disk.

        Raises IntegrityError naming the first entry that is unsafe or not what was recorded, Stopped; `discard` then
        cleans up.
        """
        with mapped(self._site.root):
            self._make_place(note)
            staged = Path(self.marks.staged)
            live = self._site.root.stat() if self.marks.live_inode is not None else None
            lanes, stop = self._lanes, self._stop
            with TreeWriter(staged, self._site.root, Owners(live), advance, lanes=lanes, stop=stop) as writer:
                writer.fill(entries)
                done = writer.finish()
            self._finish_staging()
        return done

    def adopt(self, folder: Path, note: MediaNote, advance: Advance) -> None:
        """The folder that an earlier restore replaced becomes the staged tree: renamed, or copied and compared."""
        if not is_real_folder(folder):
            raise SourceMissing(
                msg("the folder that an earlier restore kept is not there"),
                where=printable(str(folder)),
                hint=msg("it was moved or removed; restore an archive instead"),
            )
        with mapped(folder):
            self._make_place(note, adopted=folder)
            staged = Path(self.marks.staged)
            if self.marks.origin is None or not moved(folder, staged):
                self._take(note, staged_inode=None, origin=None)
                copy_tree(folder, staged, advance, self._stop)
                self._take(note, staged_inode=inode_of(staged))
            self._finish_staging()

    def side(self) -> Side:
        """Which tree is live, from what is really there."""
        with mapped(self._site.root):
            return self._swap().side()

    def check_live(self) -> None:
        """Right before `swap`. Raises StepFailed when another folder has taken the place of the live one."""
        with mapped(self._site.root):
            if self._swap().side() is not Side.OLD:
                raise StepFailed(
                    msg("another folder has taken the place of the media root while its successor was made"),
                    where=printable(str(self._site.root)),
                    hint=msg("nothing was replaced; see what renames or restores it, then try again"),
                )

    def swap(self, note: MediaNote) -> None:
        """Put the staged tree in the place of the live one. Goes on where a crash stopped it."""
        with mapped(self._site.root):
            if self.marks.staged_inode is None:
                raise not_found(self._site.root)
            note(self.marks)
            self._swap().forward()

    def swap_back(self, note: MediaNote) -> None:
        """Undo `swap` and `carry`, as long as the replaced tree is there."""
        with mapped(self._site.root):
            swap = self._swap()
            if swap.side() is Side.NEW:
                old = swap.replaced()
                if old is None and self.marks.live_inode is not None:
                    raise not_found(self._site.root)
                self._take(note, settled=False)
                swap = self._swap()
                if old is not None:
                    carry_back(old, Path(self.marks.root), swap.carried())
            else:
                note(self.marks)
            self._forget_carried(swap)
            swap.back()

    def carry(self, exclude: tuple[str, ...]) -> list[str]:
        """After `swap`: what `exclude` matches in the replaced root is moved into the new one, never over anything.

        Returns the paths that are there now, sorted.
        """
        with mapped(self._site.root):
            swap = self._swap()
            old = swap.replaced()
            if old is None or swap.side() is not Side.NEW or not exclude:
                return []
            return carry(old, Path(self.marks.root), exclude, swap.carried())

    def keep(self, target: Path, note: MediaNote, advance: Advance) -> Path | None:
        """The replaced root becomes `target`: renamed, or copied, compared and then removed. None: there was none.

        A copy that is not whole has another name. Raises StepFailed when `target` is something else already; then the
        replaced root stays where it is.
        """
        if self.marks.live_inode is None:
            self._clear(note)
            return None
        with mapped(target, keeps=True):
            swap = self._swap()
            old = swap.replaced()
            if swap.side() is not Side.NEW or (old is None and not os.path.lexists(target)):
                raise not_found(self._site.root)
            if old is not None:
                swap.dress(old)
                make_private_folder(target.parent)
                self._move_out(old, target, advance)
        self._clear(note)
        return target

    def let_go(self, note: MediaNote) -> None:
        """Remove the replaced root; nobody wants a copy of it."""
        with mapped(self._site.root):
            swap = self._swap()
            if swap.side() is not Side.NEW:
                raise not_found(self._site.root)
            if (old := swap.replaced()) is not None:
                self._remove_replaced(old)
        self._clear(note)

    def discard(self) -> None:
        """Before `swap`, or after `swap_back`: the staged tree goes, or goes back to where it came from.

        Nothing is removed that is not this run's, and never the live root. Raises StepFailed when the new tree is live.
        """
        with mapped(self._site.root):
            remove_tree(self._site.probe())
            if self._marks is None:
                return
            swap = self._swap()
            if swap.side() in (Side.NEW, Side.PARTLY):
                raise StepFailed(
                    msg("the new media folder is live or on its way; nothing was removed"),
                    where=printable(self.marks.root),
                    hint=msg("run `runner recover`"),
                )
            staged = self._staged_of_this_run(swap)
            if staged is not None and self.marks.origin is not None:
                self._send_home(swap, staged)
            elif staged is not None:
                remove_tree(staged)
            self._forget_carried(swap)
            swap.clear()

    def _swap(self) -> Swap:
        return EntriesSwap(self.marks) if self.marks.way == "entries" else RenameSwap(self.marks, self._exchange)

    def _take(self, note: MediaNote, **changes: object) -> None:
        self._marks = msgspec.structs.replace(self.marks, **changes)
        note(self._marks)

    def _make_place(self, note: MediaNote, adopted: Path | None = None) -> None:
        """Make the staged folder (or name the one that becomes it), and note what it is."""
        way: Way = self._site.way()
        while True:
            self._marks = self._site.marks(way)
            note(self._marks)
            try:
                self._make_above(way)
                break
            except PermissionError:
                if way == "entries" or self.marks.live_inode is None:
                    raise
                way = "entries"  # the folder above looked writable and is not
        staged = Path(self.marks.staged)
        if adopted is not None and self._can_move(adopted, staged.parent):
            self._take(note, staged_inode=inode_of(adopted), origin=str(adopted))
            return
        if adopted is None:
            staged.mkdir(0o700)
            flush_folder(staged.parent)
            self._take(note, staged_inode=inode_of(staged))

    def _make_above(self, way: Way) -> None:
        staged = Path(self.marks.staged)
        if way == "entries":
            EntriesSwap(self.marks).prepare()
            return
        for folder in reversed([folder for folder in staged.parents if not folder.exists()]):
            folder.mkdir()
            flush_folder(folder.parent)
        remove_tree(self._site.probe())
        self._site.probe().mkdir(0o700)
        self._site.probe().rmdir()

    def _can_move(self, folder: Path, above: Path) -> bool:
        return same_file_system(folder, above) and os.access(folder.parent, os.W_OK)

    def _finish_staging(self) -> None:
        if self.marks.way == "entries":
            EntriesSwap(self.marks).finish()
        flush_folder(Path(self.marks.staged).parent)

    def _move_out(self, old: Path, target: Path, advance: Advance) -> None:
        if os.path.lexists(target):
            # Copied whole by this run before it was stopped, or somebody else's.
            if first_difference(old, target) is not None:
                raise in_the_way(target)
            self._remove_replaced(old)
            return
        if moved(old, target):
            return
        part = target.with_name(f".{target.name}.{self._site.names.run_id}.part")
        remove_tree(part)
        try:
            copy_tree(old, part, advance)
        except BaseException:
            remove_tree(part)  # a full disk must not stay full for the want of it
            raise
        rename_alone(part, target)
        flush_folder(target.parent)
        self._remove_replaced(old)

    def _remove_replaced(self, old: Path) -> None:
        """Nobody needs the original any more; that it stays is no failure of the restore."""
        try:
            doom(old)
        except OSError as error:
            self._stays(error, old)

    def _stays(self, error: OSError, old: Path) -> None:
        left = next((path for path in (doomed(old), old) if os.path.lexists(path)), old)
        if self.marks.way == "entries":
            left = old.parent  # in the live root, with what belongs to it
        reason = error.strerror or str(error)
        text = msg("it cannot be removed: {reason}", reason=reason)
        self.not_removed = Finding(StepFailed.code, text, printable(str(left)))

    def _clear(self, note: MediaNote) -> None:
        """The replaced tree has gone for good: remove what only the way back needed."""
        with mapped(self._site.root):
            if self.marks.way == "entries" and not self.marks.settled:
                self._take(note, settled=True)
            swap = self._swap()
            try:
                for name in (self.marks.staged, self.marks.replaced):
                    remove_tree(doomed(Path(name)))
                self._forget_carried(swap)
                swap.clear()
            except OSError as error:
                self._stays(error, Path(self.marks.replaced))

    def _forget_carried(self, swap: Swap) -> None:
        swap.carried().unlink(missing_ok=True)
        remove_tree(making_at(swap.carried()))

    def _staged_of_this_run(self, swap: Swap) -> Path | None:
        """The staged tree by its inode; by its name, which has the run's id, when no inode could be noted."""
        if self.marks.staged_inode is not None:
            found = swap.staged()
            return found if found is not None and inode_of(found) == self.marks.staged_inode else None
        staged = Path(self.marks.staged)
        is_ours = self._site.names.run_id in str(staged) and inode_of(staged) != self.marks.live_inode
        return staged if is_ours and os.path.lexists(staged) else None

    def _send_home(self, swap: Swap, staged: Path) -> None:
        origin = Path(self.marks.origin or "")
        make_private_folder(origin.parent)
        swap.dress(staged)
        move_alone(staged, origin)
        flush_folder(origin.parent)
        flush_folder(staged.parent)
