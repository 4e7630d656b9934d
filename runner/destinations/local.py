"""A folder: on this disk, another disk, a share, or one that a program synchronises."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runner.destinations.base import Stored, Verify, numbered
from runner.durable import create_private, flush_file, move_into_place, same_file_system
from runner.errors import ArchiveUnknown, DestinationFailed
from runner.messages import msg
from runner.model.profile import LocalDestination

_COPY_BYTES = 4 << 20


class LocalFolder:
    """See `runner.destinations.base.Destination`. The folder is never created: a missing one may be a missing disk."""

    def __init__(self, config: LocalDestination) -> None:
        self._folder = config.path

    @property
    def label(self) -> str:
        return str(self._folder)

    def check(self) -> None:
        if not self._folder.is_dir():
            raise DestinationFailed(
                msg("the destination is not there, or is not a folder"),
                where=self.label,
                hint=msg("create it, or connect the disk or share it lies on; runner never creates it by itself"),
            )
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise DestinationFailed(
                msg("the destination cannot be written to"),
                where=self.label,
                hint=msg("check the permissions of the folder"),
            )

    def names(self) -> frozenset[str]:
        with self._mapped():
            return frozenset(path.name for path in self._folder.iterdir())

    def put(self, source: Path, name: str, verify: Verify | None, note_partial: Callable[[Path], None]) -> str:
        with self._mapped():
            if same_file_system(source.parent, self._folder):
                return self._put_beside(source, name, verify, note_partial)
            partial = self._folder / f".{name}.{source.parent.name}.partial"
            note_partial(partial)
            _copy_flushed(source, partial)
            if verify is not None:
                with partial.open("rb") as written:
                    verify(written)
            return self._name_it(partial, name)

    def list(self) -> list[Stored]:
        with self._mapped():
            found = [path for path in self._folder.iterdir() if path.suffix == ".zip" and path.is_file()]
            return [Stored(path.name, path.stat().st_size) for path in found]

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._folder / name).open("rb")
        except FileNotFoundError:
            raise ArchiveUnknown(msg("there is no archive `{name}`", name=name), where=self.label) from None
        except OSError as error:
            raise self._failed(error) from None

    def locate(self, name: str) -> str:
        return str(self._folder / name)

    def _put_beside(self, source: Path, name: str, verify: Verify | None, note_partial: Callable[[Path], None]) -> str:
        """The same file system: a second name for the same bytes, which then becomes the only one here."""
        if verify is not None:
            with source.open("rb") as written:
                verify(written)
        link = source.with_name(f"{source.name}.put")
        try:
            os.link(source, link)
        except OSError:
            # No hard links here: give the source itself away would leave nothing for a second destination.
            note_partial(link)
            _copy_flushed(source, link)
        return self._name_it(link, name)

    def _name_it(self, complete: Path, name: str) -> str:
        while True:
            chosen = numbered(name, self.names())
            try:
                move_into_place(complete, self._folder / chosen)
            except FileExistsError:
                continue  # another machine took the name between the look and the move
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


def _copy_flushed(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with source.open("rb", buffering=0) as reading, create_private(target) as writing:
        while chunk := reading.read(_COPY_BYTES):
            writing.write(chunk)
        flush_file(writing)
