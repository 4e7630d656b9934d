"""A folder: on this disk, another disk, a share, or one that a program synchronises."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runner.destinations.base import Stored, Verify, numbered
from runner.durable import create_private, flush_file, move_into_place, same_file_system
from runner.errors import ArchiveUnknown, DestinationFailed
from runner.messages import msg, printable
from runner.model.profile import LocalDestination

_COPY_BYTES = 4 << 20


class LocalFolder:
    """See `runner.destinations.base.Destination`. The folder is never created: a missing one may be a missing disk."""

    def __init__(self, config: LocalDestination) -> None:
        self._folder = config.path

    @property
    def label(self) -> str:
        return printable(str(self._folder))

    def check(self) -> None:
        with self._mapped():
            found = self._folder.is_dir()
        if not found:
            raise DestinationFailed(
                msg("the destination is not there, or is not a folder"),
                where=self.label,
                hint=msg("create it, or connect the disk or share it lies on; runner never creates it by itself"),
            )
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise DestinationFailed(
                msg("the destination cannot be read and written to"),
                where=self.label,
                hint=msg("check the permissions of the folder"),
            )

    def names(self) -> frozenset[str]:
        with self._mapped():
            return frozenset(path.name for path in self._folder.iterdir())

    def put(self, source: Path, name: str, verify: Verify | None, note_partial: Callable[[Path], None]) -> str:
        partial = self._folder / f".{name}.{source.parent.name}.partial"
        with self._mapped():
            note_partial(partial)
            if not _linked(source, partial, verify):
                _copy_flushed(source, partial)
                _read_again(partial, verify)
            return self._name_it(partial, name)

    def list(self) -> list[Stored]:
        with self._mapped():
            return [stored for path in self._folder.iterdir() if path.suffix == ".zip" and (stored := _stored(path))]

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._folder / name).open("rb")
        except FileNotFoundError:
            raise ArchiveUnknown(msg("there is no archive `{name}`", name=name), where=self.label) from None
        except OSError as error:
            raise DestinationFailed(
                msg("the archive cannot be read: {reason}", reason=error.strerror or str(error)),
                where=self.locate(name),
                hint=msg("check the permissions of the file, and the disk"),
            ) from None

    def locate(self, name: str) -> str:
        return str(self._folder / name)

    def _name_it(self, complete: Path, name: str) -> str:
        taken = self.names()
        while True:
            chosen = numbered(name, taken)
            try:
                move_into_place(complete, self._folder / chosen)
            except FileExistsError:
                taken |= {chosen}  # by another machine meanwhile, or by a name that this file system takes for the same
                continue
            return chosen

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> DestinationFailed:
        return DestinationFailed(
            msg("the destination failed: {reason}", reason=error.strerror or str(error)),
            where=self.label,
            hint=msg("check its free space, its permissions, and that the disk or share is connected"),
        )


def _stored(path: Path) -> Stored | None:
    """What lies there. None for what is no file, or is gone since the folder was read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Stored(path.name, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _linked(source: Path, partial: Path, verify: Verify | None) -> bool:
    """On one file system: give the same bytes, read again, a second name. False where that cannot be done.

    FAT and some shares have no hard links, and no link leads from one mount of a file system to another.
    """
    if not same_file_system(source.parent, partial.parent):
        return False
    _read_again(source, verify)
    try:
        os.link(source, partial)
    except OSError:
        return False
    return True


def _read_again(path: Path, verify: Verify | None) -> None:
    if verify is not None:
        with path.open("rb") as written:
            verify(written)


def _copy_flushed(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with source.open("rb", buffering=0) as reading, create_private(target) as writing:
        while chunk := reading.read(_COPY_BYTES):
            writing.write(chunk)
        flush_file(writing)
