"""Reads one file and knows whether it changed meanwhile."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

CHUNK_BYTES = 1 << 20
SMALL_BYTES = 1 << 20
"""A file of this size or less is read in one piece."""

# Follows no link and does not wait for a FIFO.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class ReadFailed(Exception):
    """The file cannot be read; `reason` is what the system says. No OSError: those are of the side that writes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_NOT_A_FILE = "it became something else than a plain file"


class SmallFile(NamedTuple):
    """A small file as it was at one moment."""

    status: os.stat_result
    content: bytes


def read_small(path: str) -> SmallFile | None:
    """Read a plain file in one piece. None for anything that needs a closer look, as `FileReading` takes it.

    That is: it is gone, large, no plain file, cannot be read, or changed meanwhile.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return None
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size > SMALL_BYTES:
            return None
        content = os.read(descriptor, before.st_size)
        after = os.fstat(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    is_quiet = len(content) == before.st_size and _is_same_state(before, after)
    return SmallFile(before, content) if is_quiet else None


class FileReading:
    """One attempt to read a file: at most as many bytes as it had when it was opened.

    After `chunks` has ended, `changed` tells whether the content may mix two states of the file.
    """

    def __init__(self, path: Path) -> None:
        """Open without following a link and without waiting for a FIFO. Raises FileNotFoundError or ReadFailed."""
        try:
            descriptor = os.open(path, _READ)
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = _NOT_A_FILE if error.errno in (errno.ELOOP, errno.ENXIO) else error.strerror or str(error)
            raise ReadFailed(reason) from None
        self.status = os.fstat(descriptor)
        if not stat.S_ISREG(self.status.st_mode):
            os.close(descriptor)
            raise ReadFailed(_NOT_A_FILE)
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.changed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def descriptor(self) -> int:
        return self._file.fileno()

    def chunks(self) -> Iterator[bytes]:
        """The content in chunks of 1 MiB (the last one shorter). Raises ReadFailed."""
        remaining = self.status.st_size
        while remaining and (chunk := self._read(min(CHUNK_BYTES, remaining))):
            remaining -= len(chunk)
            yield chunk
        self.changed = remaining > 0 or not _is_same_state(self.status, os.fstat(self._file.fileno()))

    def _read(self, length: int) -> bytes:
        """`length` bytes, fewer only at the end of the file."""
        try:
            chunk = self._file.read(length) or b""
            while chunk and len(chunk) < length and (more := self._file.read(length - len(chunk))):
                chunk += more
        except OSError as error:
            raise ReadFailed(error.strerror or str(error)) from None
        return chunk


def _is_same_state(before: os.stat_result, now: os.stat_result) -> bool:
    return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (before.st_size, before.st_mtime_ns, before.st_ctime_ns)
