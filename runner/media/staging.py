"""Writes a tree of files, folders and links beneath one folder, from entries that nobody vouches for.

Nothing is ever written outside that folder, whatever an entry is called: every parent is a real folder of this tree,
links are made last, and no name is used twice. Knows nothing of archives, of swaps, or of what the tree replaces.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from runner.errors import Finding, Refused
from runner.media.beneath import Beneath, Parts, Place
from runner.media.failures import altered, name_refused, unsafe
from runner.media.flushes import Flushes
from runner.media.links import leads_out
from runner.media.owners import Attributes, Owners
from runner.messages import msg, printable

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700
_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)
_LONGEST_PATH = 4095 if os.name != "nt" else 32767
_WINDOWS = os.name == "nt"
_FORBIDDEN_ON_WINDOWS = frozenset(b'\\:<>"|?*')


@dataclass(frozen=True, slots=True)
class Incoming:
    """One entry that comes back. `raw` is its path below the root with `/` between the parts; empty: the root itself.

    `name` is how messages call it. `chunks` gives a file's content and is asked once. `sha256` is of the content, for
    a link of its target; None: nobody recorded one.
    """

    raw: bytes
    kind: Literal["file", "directory", "link"]
    name: str
    mode: int | None = None
    mtime_ns: int | None = None
    uid: int | None = None
    gid: int | None = None
    owner: str | None = None
    group: str | None = None
    target: bytes | None = None
    size: int = 0
    sha256: str | None = None
    chunks: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()))

    @property
    def attributes(self) -> Attributes:
        return Attributes(self.mode, self.mtime_ns, self.uid, self.gid, self.owner, self.group)


@dataclass(frozen=True, slots=True)
class Staged:
    """What a staged tree holds, the root not counted, and what a person should know of it."""

    files: int = 0
    directories: int = 0
    links: int = 0
    bytes: int = 0
    findings: tuple[Finding, ...] = ()


class TreeWriter:
    """Fills an empty `folder` that will stand at `root` one day. Use as a context manager, `add`, then `finish`.

    Raises IntegrityError for an entry that is unsafe or not what was recorded, Refused for a name that this file
    system cannot hold, OSError for the rest. `owners` tell what an entry without a mode or an owner gets.
    """

    def __init__(self, folder: Path, root: Path, owners: Owners, advance: Callable[[int], object]) -> None:
        self._root = root
        self._owners = owners
        self._advance = advance
        self._beneath = Beneath(folder)
        self._flushes = Flushes()
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
        self._flushes.__exit__(kind, error, trace)
        self._beneath.__exit__(kind, error, trace)

    def add(self, entry: Incoming) -> None:
        """Write one file or folder; a link is kept for the end. In any order, parents included."""
        parts = checked_parts(entry)
        with _named(entry.name):
            if self._room_for_names < len(entry.raw):
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            match entry.kind:
                case "directory":
                    self._add_folder(parts, entry)
                case "file":
                    self._add_file(parts, entry)
                case "link":
                    self._add_link(parts, entry)

    def finish(self) -> Staged:
        """Make the links, give every folder its attributes, and flush. Everything is on the disk afterwards."""
        targets = {path: os.fsdecode(link.target or b"") for path, link in self._links.items()}
        for path, link in self._links.items():
            with _named(link.name):
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

    def _add_file(self, parts: Parts, entry: Incoming) -> None:
        parent = self._parent(parts, entry)
        name = parent.at(parts[-1])
        try:
            descriptor = os.open(name, _NEW_FILE, _PRIVATE_FILE, dir_fd=parent.descriptor)
        except FileExistsError:
            raise _twice(entry) from None
        try:
            self._write(descriptor, entry)
            if sys.platform != "win32":
                self._owners.give(descriptor, entry.attributes, self._owners.file_mode)
        except BaseException:
            os.close(descriptor)
            raise
        if sys.platform == "win32":
            os.fsync(descriptor)
            os.close(descriptor)
            self._owners.give(name, entry.attributes, None)
        else:
            self._flushes.add(descriptor)
        self._files += 1
        self._bytes += entry.size

    def _write(self, descriptor: int, entry: Incoming) -> None:
        """At most `size` bytes; long runs of zeros become holes. The content is compared as it passes."""
        digest = hashlib.sha256()
        written = 0
        for chunk in entry.chunks():
            if written + len(chunk) > entry.size:
                raise altered(entry.name, msg("it is larger than the {size} bytes recorded", size=entry.size))
            digest.update(chunk)
            _write_sparsely(descriptor, chunk)
            written += len(chunk)
            self._advance(len(chunk))
        if written != entry.size:
            raise altered(entry.name, msg("it has {found} bytes instead of {size}", found=written, size=entry.size))
        if entry.sha256 is not None and digest.hexdigest() != entry.sha256:
            raise altered(entry.name, msg("its SHA-256 differs"))
        os.ftruncate(descriptor, written)

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
        with _named("" if entry is None else entry.name):
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


def _write_sparsely(descriptor: int, chunk: bytes) -> None:
    """Write, and pass over whole blocks of zeros."""
    blocks = range(0, len(chunk), _BLOCK)
    if not any(chunk.startswith(_ZEROS, start) for start in blocks):
        _write_all(descriptor, chunk)
        return
    for start in blocks:
        if chunk.startswith(_ZEROS, start):
            os.lseek(descriptor, _BLOCK, os.SEEK_CUR)
        else:
            _write_all(descriptor, chunk[start : start + _BLOCK])


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _twice(entry: Incoming) -> Exception:
    return unsafe(entry.name, msg("its name is taken by another entry, or one of its folders is a file"))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors that are the entry's own fault name it."""
    try:
        yield
    except OverflowError:
        raise unsafe(name, msg("its time or its owner is a number that no system has")) from None
    except OSError as error:
        if not name_refused(error):
            raise
        raise Refused(
            msg("this file system cannot hold `{member}`: {reason}", member=printable(name), reason=error.strerror),
            where=printable(name),
            hint=msg("restore to another file system, or leave the media out with `--variant db-only`"),
        ) from None
