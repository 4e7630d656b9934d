"""Writes a tree of files, folders and links beneath one folder, from entries that nobody vouches for.

Nothing is ever written outside that folder, whatever an entry is called: every parent is a real folder of this tree,
links are made last, and no name is used twice. All of that one thread does, in the order of the entries; what it made
is filled by several. Knows nothing of archives, of swaps, or of what the tree replaces.
"""

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.errors import Interrupted, RunnerError
from runner.lanes import Lanes, Stop
from runner.media.beneath import Beneath, Parts, Place
from runner.media.contents import Contents, NewFile, named
from runner.media.entries import Incoming, Staged
from runner.media.failures import altered, unsafe
from runner.media.flushes import flushes_below
from runner.media.links import leads_out
from runner.media.owners import Attributes, Owners
from runner.messages import msg, printable

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700
_OPEN_AT_ONCE = 128
"""Files that are made and not yet filled, at most; systems with small limits let a process open 256."""
_BATCH_BYTES = 4 << 20
_LONGEST_PATH = 4095 if os.name != "nt" else 32767
_WINDOWS = os.name == "nt"
_FORBIDDEN_ON_WINDOWS = frozenset(b'\\:<>"|?*')


class TreeWriter:
    """Fills an empty `folder` that will stand at `root` one day. Use as a context manager, `fill`, then `finish`.

    Raises IntegrityError for an entry that is unsafe or not what was recorded, Refused for a name that this file
    system cannot hold, OSError for the rest, Stopped once `stop` is set. `owners` tell what an entry without a mode or
    an owner gets. `lanes` threads fill the files; with one of them everything is done in the caller's.
    """

    def __init__(
        self,
        folder: Path,
        root: Path,
        owners: Owners,
        advance: Callable[[int], object],
        *,
        lanes: int = 1,
        stop: Stop | None = None,
    ) -> None:
        self._root = root
        self._owners = owners
        self._stop = Stop(stop)
        self._beneath = Beneath(folder)
        self._flushes = flushes_below(folder)
        self._lanes = Lanes(lanes)
        self._contents = Contents(owners, self._flushes, advance, self._stop)
        self._most_open = max(1, _OPEN_AT_ONCE // self._lanes.at_once)
        self._made: deque[Sequence[NewFile]] = deque()
        self._wrong: Exception | None = None
        self._folders: dict[Parts, Incoming | None] = {(): None}
        self._links: dict[str, Incoming] = {}
        # What is longer could be written step by step, but no application could open it, and nobody remove it.
        self._room_for_names = _LONGEST_PATH - len(os.fsencode(folder)) - 1
        self._files = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with ExitStack() as closing:
            closing.push(self._beneath)
            closing.push(self._flushes)
            for files in self._made:
                for file in files:
                    closing.callback(file.close)
            closing.push(self._lanes)

    def fill(self, entries: Iterable[Incoming]) -> None:
        """Write files and folders; links are kept for the end. In any order, parents included.

        Of several entries that are wrong the first one is told, whatever the threads came upon before.
        """
        for size_bytes in self._lanes.ordered(self._contents.fill, self._batches(entries)):
            self._files += len(self._made.popleft())
            self._bytes += size_bytes
        if self._wrong is not None:
            raise self._wrong

    def _batches(self, entries: Iterable[Incoming]) -> Iterator[Sequence[NewFile]]:
        """The files, made and open. What is wrong with a name waits until those before it are filled."""
        batch: list[NewFile] = []
        size_bytes = 0
        try:
            for entry in entries:
                self._stop.check()
                if (made := self._add(entry)) is None:
                    continue
                batch.append(made)
                size_bytes += entry.size
                if size_bytes >= _BATCH_BYTES or len(batch) >= self._most_open:
                    self._made.append(batch)
                    yield batch
                    batch, size_bytes = [], 0
        except (RunnerError, OSError) as error:
            if isinstance(error, Interrupted):
                raise
            self._wrong = error
        if batch:
            self._made.append(batch)
            yield batch

    def _add(self, entry: Incoming) -> NewFile | None:
        parts = checked_parts(entry)
        with named(entry.name):
            if self._room_for_names < len(entry.raw):
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            match entry.kind:
                case "directory":
                    self._add_folder(parts, entry)
                case "file":
                    return self._add_file(parts, entry)
                case "link":
                    self._add_link(parts, entry)
        return None

    def finish(self) -> Staged:
        """Make the links, give every folder its attributes, and flush. Everything is on the disk afterwards."""
        targets = {path: os.fsdecode(link.target or b"") for path, link in self._links.items()}
        for path, link in self._links.items():
            with named(link.name):
                self._make_link(path, link, targets)
        for parts in sorted(self._folders, key=len, reverse=True):
            self._finish_folder(parts, self._folders[parts])
        self._flushes.finish()
        return Staged(
            self._files,
            len(self._folders) - 1,
            len(self._links),
            self._bytes,
            self._owners.findings(printable(str(self._root))),
        )

    def _add_folder(self, parts: Parts, entry: Incoming) -> None:
        if self._folders.get(parts) is not None:
            raise _twice(entry)
        if parts not in self._folders:
            self._make_folder(self._parent(parts, entry), parts, entry)
        self._folders[parts] = entry

    def _parent(self, parts: Parts, entry: Incoming) -> Place:
        """The folder that `parts` goes into, made with what is missing above it."""
        above = parts[:-1]
        for end in range(1, len(above) + 1):
            if above[:end] not in self._folders:
                self._make_folder(self._beneath.folder(above[: end - 1]), above[:end], entry)
        return self._beneath.folder(above)

    def _make_folder(self, parent: Place, parts: Parts, entry: Incoming) -> None:
        try:
            os.mkdir(parent.at(parts[-1]), _PRIVATE_FOLDER, dir_fd=parent.descriptor)
        except FileExistsError:
            raise _twice(entry) from None
        self._folders[parts] = None

    def _add_file(self, parts: Parts, entry: Incoming) -> NewFile:
        parent = self._parent(parts, entry)
        name = parent.at(parts[-1])
        try:
            descriptor = os.open(name, _NEW_FILE, _PRIVATE_FILE, dir_fd=parent.descriptor)
        except FileExistsError:
            raise _twice(entry) from None
        return NewFile(entry, descriptor, name)

    def _add_link(self, parts: Parts, entry: Incoming) -> None:
        target = entry.target or b""
        if not target or b"\0" in target:
            raise unsafe(entry.name, msg("it is a link without a usable target"))
        if entry.sha256 is not None and hashlib.sha256(target).hexdigest() != entry.sha256:
            raise altered(entry.name, msg("its SHA-256 differs"))
        self._parent(parts, entry)
        path = os.fsdecode(b"/".join(parts))
        if path in self._links:
            raise _twice(entry)
        self._links[path] = entry

    def _make_link(self, path: str, entry: Incoming, targets: dict[str, str]) -> None:
        target = targets[path]
        if leads_out(path, targets, self._root):
            reason = msg("it is a link that leads out of the media root, to `{target}`", target=printable(target))
            raise unsafe(entry.name, reason)
        parts = tuple(os.fsencode(path).split(b"/"))
        parent = self._beneath.folder(parts[:-1])
        name = parent.at(parts[-1])
        try:
            os.symlink(target, name, self._points_at_folder(parts, target), dir_fd=parent.descriptor)
        except FileExistsError:
            raise _twice(entry) from None
        self._owners.give_link(name, entry.attributes, parent.descriptor)

    def _points_at_folder(self, parts: Parts, target: str) -> bool:
        """Windows has two kinds of links; what the target is in this tree tells which."""
        whole = os.path.normpath(Path(os.fsdecode(b"/".join(parts[:-1])), target)).replace(os.sep, "/")
        return tuple(os.fsencode(whole).split(b"/")) in self._folders

    def _finish_folder(self, parts: Parts, entry: Incoming | None) -> None:
        place = self._beneath.folder(parts)
        attributes = Attributes() if entry is None else entry.attributes
        with named("" if entry is None else entry.name):
            if place.descriptor is None:
                self._owners.give(str(place.path), attributes, self._owners.folder_mode)
            else:
                self._owners.give(place.descriptor, attributes, self._owners.folder_mode)
                self._flushes.add(os.dup(place.descriptor))


def checked_parts(entry: Incoming, *, windows: bool = _WINDOWS) -> Parts:
    """The parts of the entry's path. Raises IntegrityError for a path that is not plainly below the root."""
    if not entry.raw:
        if entry.kind != "directory":
            raise unsafe(entry.name, msg("it would replace the media root itself"))
        return ()
    if len(entry.raw) > _LONGEST_PATH:
        raise unsafe(entry.name[:200], msg("its path is longer than any that could have been backed up"))
    parts = tuple(entry.raw.split(b"/"))
    for part in parts:
        if part in (b"", b".", b".."):
            raise unsafe(entry.name, msg("its path leads out of the media root, or is not in its plain form"))
        if b"\0" in part:
            raise unsafe(entry.name, msg("its path holds a NUL byte"))
        if windows and (_FORBIDDEN_ON_WINDOWS.intersection(part) or not _is_text(part)):
            raise unsafe(entry.name, msg("its path means something else on Windows"))
    return parts


def _is_text(part: bytes) -> bool:
    try:
        part.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return min(part) >= 32


def _twice(entry: Incoming) -> Exception:
    return unsafe(entry.name, msg("its name is taken by another entry, or one of its folders is a file"))
