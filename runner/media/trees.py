"""Whole folders: copied with everything that they are, compared, removed, looked at. No link is ever followed."""

import contextlib
import errno
import io
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from runner.durable import flush_folder
from runner.errors import StepFailed
from runner.lanes import Stop
from runner.media.flushes import Flushes, flushes_below
from runner.media.owners import Attributes, Owners
from runner.media.read import FileReading, ReadFailed
from runner.media.sharing import Sharing
from runner.messages import msg, printable

_OWN_ONLY = 0o700


@dataclass(frozen=True, slots=True)
class Content:
    """How much there is below a folder. `newest_change` is aware, None for an empty folder."""

    files: int = 0
    bytes: int = 0
    entries: int = 0
    newest_change: datetime | None = None


def count(folder: Path, wanted: Callable[[str], object] = lambda _path: True) -> Content:
    """Everything below `folder` of which `wanted` is true, told its path below `folder` with `/`.

    What cannot be read or vanishes meanwhile is left out.
    """
    files = size = entries = newest = 0
    for path in below(folder, lambda _error: None):
        if not wanted(path.relative_to(folder).as_posix()):
            continue
        try:
            found = path.lstat()
        except OSError:
            continue
        entries += 1
        newest = max(newest, found.st_mtime_ns)
        if stat.S_ISREG(found.st_mode):
            files += 1
            size += found.st_size
    return Content(files, size, entries, _moment(newest) if entries else None)


def below(folder: Path, failed: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Everything below `folder`, folders before what is in them, however deep. Raises OSError unless `failed` is given.

    A folder is looked into after it was handed out.
    """
    waiting = [folder]
    while waiting:
        inside = []
        above = waiting.pop()
        names, folders = _listed(above, failed)
        for name in names:
            path = above / name
            yield path
            if name in folders:
                inside.append(path)
        waiting.extend(reversed(inside))


def _listed(folder: Path, failed: Callable[[OSError], object] | None) -> tuple[list[str], frozenset[str]]:
    """Names, sorted, and which of them are of folders. No paths: a folder may hold a million files."""
    names: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
    except OSError as error:
        if failed is None:
            raise
        failed(error)
        return [], frozenset()
    names.sort()
    return names, frozenset(folders)


def copy_tree(source: Path, target: Path, advance: Callable[[int], object], stop: Stop | None = None) -> None:
    """Copy `source` to `target`, which is not there yet: content, modes, times, links, owners, extended attributes.

    Flushed, then compared with the source. Raises OSError, StepFailed when something changed meanwhile, Stopped.
    """
    owners, stop, sharing = Owners(None), stop or Stop(), Sharing()
    target.mkdir(_OWN_ONLY)
    folders = [(source, target)]
    with flushes_below(target) as flushes:
        for path in below(source):
            stop.check()
            copy = target / path.relative_to(source)
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode):
                copy.mkdir(_OWN_ONLY)
                folders.append((path, copy))
            elif stat.S_ISREG(found.st_mode):
                with _copied(path, copy, owners, flushes) as (reading, file):
                    if sharing.share(reading.descriptor, file.fileno()):
                        advance(reading.status.st_size)
                    else:
                        _copy_content(reading, file, advance, stop)
            else:
                _copy_special(path, copy, found, owners)
        for path, copy in reversed(folders):
            _finish(path, copy, owners, flushes)
        flushes.finish()
    flush_folder(target.parent)
    if (different := first_difference(source, target, stop)) is not None:
        raise StepFailed(
            msg("the copy differs from the folder that it was made of, which stays where it is"),
            where=printable(str(different)),
            hint=msg("stop whatever still writes there, then try again"),
        )


def first_difference(source: Path, copy: Path, stop: Stop | None = None) -> Path | None:
    """The first path of `source` that differs in `copy`, or is not there; None when all is equal. Raises Stopped."""
    for path in chain((source,), below(source)):
        if stop is not None:
            stop.check()
        other = copy / path.relative_to(source)
        if not os.path.lexists(other) or not _equal(path, other):
            return path
    extra = (path for path in below(copy) if not os.path.lexists(source / path.relative_to(copy)))
    return next(extra, None)


def remove_tree(folder: Path) -> None:
    """Remove `folder` and all below it, also what its owner may not write to. Nothing there: nothing done."""
    if not os.path.lexists(folder):
        return
    try:
        _remove(folder)
    except PermissionError:
        _unlock(folder)
        for path in below(folder):
            _unlock(path)
        _remove(folder)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)  # cannot be led astray by a link that appears meanwhile
    except RecursionError:
        _remove_deep(folder)


def _remove_deep(folder: Path) -> None:
    """A tree of more levels than Python calls functions."""
    for path in reversed([folder, *below(folder)]):
        if stat.S_ISDIR(path.lstat().st_mode):
            path.rmdir()
        else:
            path.unlink()


@contextmanager
def unchanged_time(folder: Path) -> Iterator[None]:
    """What is done inside leaves the folder's own time of change as it was."""
    before = folder.stat()
    yield
    if folder.exists():
        with contextlib.suppress(PermissionError):  # a folder of somebody else, in which we may write
            os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def copy_attributes(source: Path, target: Path, owners: Owners) -> None:
    """Owner, group, mode, times and extended attributes of a file or a folder."""
    _copy_extended(source, target)
    owners.give(str(target), Attributes.of(source.lstat()), None)


@contextmanager
def _copied(
    source: Path, target: Path, owners: Owners, flushes: Flushes
) -> Iterator[tuple[FileReading, io.BufferedWriter]]:
    """Inside, the content is copied; all else that the file is follows."""
    try:
        with FileReading(source) as reading, target.open("xb") as file:
            yield reading, file
            file.flush()
            copy_attributes(source, target, owners)
            flushes.add(os.dup(file.fileno()), reading.status.st_size)
    except ReadFailed as error:
        raise OSError(errno.EIO, error.reason, str(source)) from None


def _copy_content(reading: FileReading, file: io.BufferedWriter, advance: Callable[[int], object], stop: Stop) -> None:
    for chunk in reading.chunks():
        stop.check()
        file.write(chunk)
        advance(len(chunk))


def _copy_special(source: Path, target: Path, found: os.stat_result, owners: Owners) -> None:
    """A link, FIFO, socket or device."""
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), target, target_is_directory=source.is_dir())  # noqa: PTH115, PTH211 - as it stands
    elif sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "neither a file, a folder nor a link", str(source))
    elif stat.S_ISFIFO(found.st_mode):
        os.mkfifo(target, stat.S_IMODE(found.st_mode))
    else:
        os.mknod(target, found.st_mode, found.st_rdev)
    if stat.S_ISLNK(found.st_mode):
        owners.give_link(str(target), Attributes.of(found), None)
    else:
        owners.give(str(target), Attributes.of(found), None)


def _finish(source: Path, target: Path, owners: Owners, flushes: Flushes) -> None:
    if os.name == "nt":
        copy_attributes(source, target, owners)
        return
    descriptor = os.open(target, os.O_RDONLY)  # now: its mode may keep this user out
    copy_attributes(source, target, owners)
    flushes.add(descriptor)


def _copy_extended(source: Path, target: Path) -> None:
    """Access lists are among them. A file system that has none takes none."""
    if sys.platform != "linux":
        return
    try:
        for name in os.listxattr(source, follow_symlinks=False):
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA, errno.EINVAL):
            raise


def _equal(first: Path, second: Path) -> bool:
    one, two = first.lstat(), second.lstat()
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(two.st_mode):
        return False
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(first) == os.readlink(second)  # noqa: PTH115 - as it stands
    if sys.platform != "win32":
        if stat.S_IMODE(one.st_mode) != stat.S_IMODE(two.st_mode):
            return False
        if os.geteuid() == 0 and (one.st_uid, one.st_gid) != (two.st_uid, two.st_gid):
            return False  # others may not give files away, so theirs cannot be equal
    if one.st_mtime_ns // 2_000_000_000 != two.st_mtime_ns // 2_000_000_000:  # FAT knows every second second
        return False
    return not stat.S_ISREG(one.st_mode) or (one.st_size == two.st_size and _same_content(first, second))


def _same_content(first: Path, second: Path) -> bool:
    try:
        with FileReading(first) as one, FileReading(second) as two:
            return all(a == b for a, b in zip(one.chunks(), two.chunks(), strict=True))
    except (ReadFailed, ValueError):
        return False


def _unlock(path: Path) -> None:
    """Let its owner remove what is in a folder; Windows removes no file that is read-only, either."""
    found = path.lstat()
    wanted = _OWN_ONLY if stat.S_ISDIR(found.st_mode) else stat.S_IWRITE if os.name == "nt" else 0
    if not stat.S_ISLNK(found.st_mode) and found.st_mode & wanted != wanted:
        path.chmod(wanted)


def _moment(mtime_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return None
