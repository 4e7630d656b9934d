"""What a backup leaves out by declaration stays what it is: it is carried from the replaced root into the new one.

The list of what is carried is on the disk before the first of it moves, so that `carry_back` can undo it.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runner.durable import create_private, flush_file, flush_folder
from runner.media.beneath import is_real_folder
from runner.media.exchange import move_alone, rename_alone
from runner.media.owners import Owners
from runner.media.select import Selection
from runner.media.trees import copy_attributes, remove_tree


class _List(msgspec.Struct, frozen=True):
    """What is carried, and the times of change that the folders above it had before, in either tree."""

    paths: list[bytes]
    old_times: dict[str, int]
    new_times: dict[str, int]


def carry(old: Path, new: Path, exclude: tuple[str, ...], listed: Path) -> list[str]:
    """Move what `exclude` matches from `old` to `new`, unless something is there; the paths. Raises OSError.

    May be called again after a crash; the list in `listed` then counts. The folders keep their times of change.
    """
    known = _read(listed)
    if known is None:
        paths = list(_chosen(old, new, Selection(exclude)))
        if not paths:
            return []
        known = _list_of(old, new, paths)
        _write(listed, known)
    paths = [os.fsdecode(path) for path in known.paths]
    carried = [path for path in paths if _move(old, new, path, listed) or os.path.lexists(new / path)]
    _set_times(old, new, known)
    return carried


def carry_back(old: Path, new: Path, listed: Path) -> None:
    """Move what was carried back to where it came from. Raises OSError."""
    known = _read(listed)
    if known is None:
        return
    for path in known.paths:
        _move(new, old, os.fsdecode(path), listed)
    _set_times(old, new, known)


def making_at(listed: Path) -> Path:
    """Where a folder is made before it gets its place."""
    return listed.with_name(f"{listed.name}.making")


def _chosen(old: Path, new: Path, selection: Selection) -> Iterator[str]:
    """The topmost paths that can move as they are."""
    waiting = [("", False)]
    while waiting:
        folder, inside = waiting.pop()
        with os.scandir(old / folder) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for name, is_folder in found:
            path = f"{folder}/{name}" if folder else name
            excluded = inside or selection.excludes_entry(path)
            if excluded and not os.path.lexists(new / path):
                if _can_take(new, path):
                    yield path
            elif is_folder and (excluded or not os.path.lexists(new / path) or is_real_folder(new / path)):
                waiting.append((path, excluded))


def _can_take(new: Path, path: str) -> bool:
    """Whether every folder above `path` is real or can be made: never through a link, never over a file."""
    above = [parent for parent in Path(path).parents if parent != Path()]
    return all(is_real_folder(new / parent) or not os.path.lexists(new / parent) for parent in above)


def _move(source: Path, target: Path, path: str, listed: Path) -> bool:
    """Rename one path from tree to tree; False when it is not there, or something else is."""
    if not os.path.lexists(source / path) or os.path.lexists(target / path) or not _can_take(target, path):
        return False
    for parent in reversed([parent for parent in Path(path).parents if parent != Path()]):
        if not os.path.lexists(target / parent):
            _make_like(source / parent, target / parent, making_at(listed))
    move_alone(source / path, target / path)
    flush_folder((target / path).parent)
    flush_folder((source / path).parent)
    return True


def _make_like(model: Path, folder: Path, making: Path) -> None:
    """A folder with the attributes of another; under its name only once it has them."""
    remove_tree(making)
    making.mkdir(0o700)
    copy_attributes(model, making, Owners(None))
    flush_folder(making)
    rename_alone(making, folder)
    flush_folder(folder.parent)


def _list_of(old: Path, new: Path, paths: list[str]) -> _List:
    above = sorted({str(parent) for path in paths for parent in Path(path).parents})
    old_times = {parent: (old / parent).lstat().st_mtime_ns for parent in above}
    new_times = {parent: (new / parent).lstat().st_mtime_ns for parent in above if os.path.lexists(new / parent)}
    encoded = {os.fsencode(path).hex(): time for path, time in old_times.items()}
    made = {os.fsencode(path).hex(): new_times.get(path, old_times[path]) for path in above}
    return _List([os.fsencode(path) for path in paths], encoded, made)


def _set_times(old: Path, new: Path, known: _List) -> None:
    for tree, times in ((old, known.old_times), (new, known.new_times)):
        for encoded, mtime_ns in times.items():
            folder = tree / os.fsdecode(bytes.fromhex(encoded))
            with contextlib.suppress(PermissionError):  # a folder of somebody else, in which we may write
                if is_real_folder(folder):
                    os.utime(folder, ns=(mtime_ns, mtime_ns))
                    flush_folder(folder)


def _read(listed: Path) -> _List | None:
    """What the list says; None when it was not written to its end, so that nothing has moved."""
    try:
        return msgspec.json.decode(listed.read_bytes(), type=_List)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _write(listed: Path, known: _List) -> None:
    listed.unlink(missing_ok=True)
    with create_private(listed) as file:
        file.write(msgspec.json.encode(known))
        flush_file(file)
    flush_folder(listed.parent)
