"""Puts many files and folders on the disk at once, by the quickest way that the system is sure to be honest about."""

import ctypes
import errno
import os
import re
import sys
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

_THREADS = 8
_WAITING = 64

_HONEST_SINCE = (5, 8)
_HONEST_TYPES = frozenset((0xEF53, 0x58465342, 0x9123683E, 0xF2F52010))
"""ext2 to ext4, XFS, Btrfs, F2FS (linux/magic.h). Others write what they hold elsewhere: an overlay to its upper layer,
whose failures it does not hear of, FUSE and network file systems to somebody else."""

_BEGIN_WRITING = 2
"""SYNC_FILE_RANGE_WRITE (linux/fs.h)."""

_WORTH_BEGINNING = 1 << 20
"""Bytes of a file from which on its writing is begun early; smaller ones the kernel collects better by itself."""


class Flushes(Protocol):
    """Use as a context manager; what was given to it is on the disk when `finish` returns, or it raises OSError.

    Any thread may `add`.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, descriptor: int, size_bytes: int = 0) -> None:
        """Take over a file of so many bytes, or a folder, and close it. May raise the OSError of an earlier one."""
        ...

    def finish(self) -> None: ...


def flushes_below(folder: Path) -> Flushes:
    """For what is written below `folder` from now on, all of it on one file system."""
    return WholeFlush(folder) if flushes_whole(folder) else EachFlush()


class EachFlush:
    """See `Flushes`. Each by itself: a file system that several threads ask writes its log once for all of them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="flush")
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True)

    def add(self, descriptor: int, size_bytes: int = 0) -> None:  # noqa: ARG002 - the contract's parameter
        with self._lock:
            self._waiting.append(self._threads.submit(_flush, descriptor))
            due = [self._waiting.popleft() for _ in range(len(self._waiting) - _WAITING)]
        for each in due:
            each.result()

    def finish(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()


class WholeFlush:
    """See `Flushes`. The whole file system once, at the end; the writing of large files is begun before.

    `syncfs` does what `fsync` of every file would (sync(2)), and tells every failed write since its descriptor was
    opened: that is done here, before anything is written. That the file system itself has given up, kernels up to 5.16
    leave to `fsync`, so one follows.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._top = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        top, self._top = self._top, -1
        if top >= 0:
            os.close(top)

    def add(self, descriptor: int, size_bytes: int = 0) -> None:
        if size_bytes >= _WORTH_BEGINNING:
            begin_writing(descriptor)
        os.close(descriptor)

    def finish(self) -> None:
        if _libc().syncfs(self._top) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        os.fsync(self._top)


def flushes_whole(folder: Path) -> bool:
    """Whether one call puts the file system of `folder` on the disk, and tells when that failed."""
    if sys.platform != "linux" or not _is_honest(os.uname().release):
        return False
    room = ctypes.create_string_buffer(512)  # struct statfs, which is 120 bytes at most; it begins with the type
    try:
        found = _libc().statfs(os.fsencode(folder), room)
    except AttributeError:  # a C library without these calls
        return False
    return found == 0 and ctypes.c_long.from_buffer(room).value & 0xFFFFFFFF in _HONEST_TYPES


def begin_writing(descriptor: int) -> None:
    """Let the system begin to write the file to its disk, without waiting. It is only asked, so nothing can fail."""
    if sys.platform == "linux":
        _libc().sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _BEGIN_WRITING)


def _is_honest(release: str) -> bool:
    """Whether a kernel of that release tells `syncfs` of every write that failed (torvalds/linux 735e4ae5ba28)."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= _HONEST_SINCE


@cache
def _libc() -> ctypes.CDLL:
    """Raises AttributeError where it lacks a call that is needed."""
    library = ctypes.CDLL(None, use_errno=True)
    for name in ("syncfs", "sync_file_range", "statfs"):
        getattr(library, name).restype = ctypes.c_int
    return library


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems have no flush for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
