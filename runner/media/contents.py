"""Fills files that were made for it, each beneath the folder where it belongs: any thread may do that.

What a file is called and where it lies is settled by whoever made it; here its content is compared as it passes.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from runner.errors import Refused
from runner.lanes import Stop
from runner.media.entries import Incoming
from runner.media.failures import altered, name_refused, unsafe
from runner.media.flushes import Flushes
from runner.media.owners import Owners
from runner.messages import msg, printable

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)


@dataclass(slots=True)
class NewFile:
    """A file that was just made and is open for writing. `path` is where Windows finds it once it is closed."""

    entry: Incoming
    descriptor: int
    path: str

    def taken(self) -> int:
        """The descriptor, which is the caller's to close from now on."""
        descriptor, self.descriptor = self.descriptor, -1
        return descriptor

    def close(self) -> None:
        """Nothing happens when somebody has taken the descriptor."""
        descriptor = self.taken()
        if descriptor >= 0:
            os.close(descriptor)


class Contents:
    """Writes contents and attributes. `advance` is told of bytes, in the thread that wrote them."""

    def __init__(self, owners: Owners, flushes: Flushes, advance: Callable[[int], object], stop: Stop) -> None:
        self._owners = owners
        self._flushes = flushes
        self._advance = advance
        self._stop = stop

    def fill(self, files: Sequence[NewFile]) -> int:
        """One file after the other, each closed afterwards; returns their bytes.

        Raises what is wrong with the first one that is not right: IntegrityError, Refused, OSError. Raises Stopped.
        """
        try:
            for file in files:
                with named(file.entry.name):
                    self._fill(file)
        finally:
            for file in files:
                file.close()
        return sum(file.entry.size for file in files)

    def _fill(self, file: NewFile) -> None:
        self._write(file.descriptor, file.entry)
        if sys.platform == "win32":
            os.fsync(file.descriptor)
            file.close()
            self._owners.give(file.path, file.entry.attributes, None)
        else:
            self._owners.give(file.descriptor, file.entry.attributes, self._owners.file_mode)
            self._flushes.add(file.taken(), file.entry.size)

    def _write(self, descriptor: int, entry: Incoming) -> None:
        """At most `size` bytes; long runs of zeros become holes."""
        digest = hashlib.sha256()
        written = 0
        sparse = False
        self._stop.check()
        for chunk in entry.chunks():
            self._stop.check()
            if written + len(chunk) > entry.size:
                raise altered(entry.name, msg("it is larger than the {size} bytes recorded", size=entry.size))
            digest.update(chunk)
            sparse = _write_sparsely(descriptor, chunk) or sparse
            written += len(chunk)
            self._advance(len(chunk))
        if written != entry.size:
            raise altered(entry.name, msg("it has {found} bytes instead of {size}", found=written, size=entry.size))
        if entry.sha256 is not None and digest.hexdigest() != entry.sha256:
            raise altered(entry.name, msg("its SHA-256 differs"))
        if sparse:
            os.ftruncate(descriptor, written)


@contextmanager
def named(name: str) -> Iterator[None]:
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


def _write_sparsely(descriptor: int, chunk: bytes) -> bool:
    """Write, and pass over whole blocks of zeros. Returns whether there were any."""
    blocks = range(0, len(chunk), _BLOCK)
    if not any(chunk.startswith(_ZEROS, start) for start in blocks):
        _write_all(descriptor, chunk)
        return False
    for start in blocks:
        if chunk.startswith(_ZEROS, start):
            os.lseek(descriptor, _BLOCK, os.SEEK_CUR)
        else:
            _write_all(descriptor, chunk[start : start + _BLOCK])
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
