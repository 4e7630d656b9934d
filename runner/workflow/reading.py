"""Opens files that a person names, and says what a file system says while an archive is read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runner.errors import ArchiveUnknown, DestinationFailed
from runner.messages import msg


def is_path(argument: str) -> bool:
    """Whether a person who writes `argument` can only mean a path, and no name of a profile or archive."""
    return "/" in argument or "\\" in argument


def is_there(argument: str) -> bool:
    """Whether `argument` is a file here. Never raises, however odd the text."""
    return os.path.isfile(argument)  # noqa: PTH113 - `Path.is_file` raises for a name that is too long


def open_file(path: Path) -> BinaryIO:
    """Open an archive by its path; a FIFO or a device is never opened. Raises ArchiveUnknown."""
    try:
        if path.exists() and not path.is_file():
            raise ArchiveUnknown(
                msg("is not a file"), where=str(path), hint=msg("name a zip, or a profile and an archive of it")
            )
        return path.open("rb")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchiveUnknown(
            msg("the archive cannot be opened: {reason}", reason=reason),
            where=str(path),
            hint=msg("check the path and the permissions of the file"),
        ) from None


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Raises DestinationFailed for what the file system says of the file at `where`."""
    try:
        yield
    except OSError as error:
        raise DestinationFailed(
            msg("the archive cannot be read: {reason}", reason=error.strerror or str(error)),
            where=where,
            hint=msg("check the disk, and that it or its share is still connected; then try again"),
        ) from None
