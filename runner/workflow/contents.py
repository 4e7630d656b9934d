"""What an archive holds: the inventory in numbers, by top folder, and line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from runner.archive.inventory import ROOT_PATH, InventoryInvalid
from runner.archive.legacy import LegacyArchive
from runner.archive.reader import ArchiveReader
from runner.errors import ArchiveDamaged
from runner.media.select import Selection
from runner.messages import msg
from runner.model.manifest import MEDIA_PREFIX, InventoryEntry
from runner.workflow.reading import reading

TOP = "."
"""The name under which files that lie in the root itself are counted."""


@dataclass(slots=True)
class FolderCount:
    """How much lies below one top folder. `bytes` is content."""

    files: int = 0
    bytes: int = 0


class File(NamedTuple):
    """One line to show; `mtime_ns` None where a legacy archive has none that can be trusted."""

    path: str
    type: str
    size: int
    mtime_ns: int | None


def files_of(archive: ArchiveReader | LegacyArchive, pattern: str | None = None) -> Iterator[File]:
    """Every file, folder and link, streamed; with `pattern`, those that it matches.

    Raises ArchiveDamaged, DestinationFailed.
    """
    selection = None if pattern is None else Selection([pattern])
    for file in _all(archive):
        if selection is None or selection.excluding(file.path) is not None:
            yield file


def count_folders(archive: ArchiveReader | LegacyArchive, pattern: str | None = None) -> dict[str, FolderCount]:
    """Files and bytes by top folder, in order, of what `pattern` matches. Raises ArchiveDamaged, DestinationFailed."""
    counts: dict[str, FolderCount] = {}
    for file in files_of(archive, pattern):
        if file.type != "file":
            continue
        top, slash, _ = file.path.partition("/")
        count = counts.setdefault(top if slash else TOP, FolderCount())
        count.files += 1
        count.bytes += file.size
    return dict(sorted(counts.items()))


def _all(archive: ArchiveReader | LegacyArchive) -> Iterator[File]:
    if isinstance(archive, LegacyArchive):
        for member in archive.media:
            yield File(member.name.removeprefix(MEDIA_PREFIX), "file", member.size, None)
        return
    try:
        with reading(archive.name):
            for entry in archive.entries():
                if entry.path != ROOT_PATH:
                    yield _file(entry)
    except InventoryInvalid as error:
        raise ArchiveDamaged(
            msg("the inventory cannot be read: {reason}", reason=error.reason), where=archive.name
        ) from None


def _file(entry: InventoryEntry) -> File:
    return File(entry.path, entry.type, entry.size if entry.type == "file" else 0, entry.mtime_ns)
