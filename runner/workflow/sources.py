"""What a restore brings: an archive, or the safety copies of an earlier restore. Both are staged in the same way."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from runner.archive.inventory import raw_path
from runner.databases.base import DumpFile, DumpFolder, DumpKind, DumpSource, KeptDatabase, Offer
from runner.durable import PRIVATE_FILE
from runner.errors import ArchiveDamaged, Finding, IntegrityError, SourceMissing
from runner.media.restoration import MediaNote, MediaRestoration
from runner.messages import msg
from runner.model.manifest import DatabaseRecord, Manifest, PostgresqlRecord
from runner.model.profile import Variant
from runner.model.replaced import KeptDump, KeptFile, KeptOnServer, Replaced
from runner.workflow.archives import Opened
from runner.workflow.incoming import incoming_media, unpack_database, unpacked_bytes
from runner.workflow.keeping import file_sha256

Advance = Callable[[int], object]


def _nothing(_bytes: int) -> None:
    """Told of nothing."""


class Source(Protocol):
    """One state of an application that can be staged. `record` None: nothing says what the database should hold."""

    label: str
    archive_id: str | None
    offered: Variant
    record: DatabaseRecord | None
    exclude: tuple[str, ...]

    def offer(self, *, trusted: bool) -> Offer:
        """What the database is about to get."""
        ...

    def media_paths(self) -> Iterator[bytes]:
        """Every path below the media root that comes back."""
        ...

    def media_bytes(self) -> int:
        """How much room the media take beside the live ones."""
        ...

    def dump(self, folder: Path, lanes: int = 1, advance: Advance = _nothing) -> DumpSource:
        """The dump, unpacked by `lanes` threads into the private folder `folder` where it has to be.

        What `advance` raises when it is told of bytes ends it.
        """
        ...

    def stage_media(self, media: MediaRestoration, note: MediaNote, advance: Advance) -> tuple[Finding, ...]:
        """Stage the media; returns what a person should know of it."""
        ...


class ArchiveSource:
    """See `Source`. `skip` names damaged members that are left out on purpose."""

    def __init__(self, opened: Opened, skip: frozenset[str] = frozenset()) -> None:
        self._opened = opened
        self._skip = skip
        self.manifest: Manifest | None = None if opened.reader is None else opened.reader.manifest
        self.label = opened.location
        self.archive_id = None if self.manifest is None else self.manifest.archive_id
        self.record = None if self.manifest is None else self.manifest.database
        media = None if self.manifest is None else self.manifest.media
        self.exclude = () if media is None else media.exclude
        self.offered = self._offered()

    def offer(self, *, trusted: bool) -> Offer:
        return Offer(self._kind(), self.record, trusted, unpacked_bytes(self._opened), self._skip)

    def media_paths(self) -> Iterator[bytes]:
        if self._opened.reader is not None:
            yield from (raw_path(entry) for entry in self._opened.reader.entries())
        else:
            yield from (entry.raw for entry in incoming_media(self._opened))

    def media_bytes(self) -> int:
        if self.manifest is not None:
            return 0 if self.manifest.media is None else self.manifest.media.bytes
        return 0 if self._opened.legacy is None else sum(member.size for member in self._opened.legacy.media)

    def dump(self, folder: Path, lanes: int = 1, advance: Advance = _nothing) -> DumpSource:
        file = folder / "database.sqlite3"
        unpacked = unpack_database(self._opened, folder, file, self._skip, advance, lanes=lanes)
        if unpacked is None:
            raise ArchiveDamaged(msg("the archive holds no database"), where=self.label)
        return unpacked

    def stage_media(self, media: MediaRestoration, note: MediaNote, advance: Advance) -> tuple[Finding, ...]:
        return tuple(media.stage(incoming_media(self._opened, self._skip), note, advance).findings)

    def _offered(self) -> Variant:
        if self.manifest is not None:
            return Variant(self.manifest.variant)
        legacy = self._opened.legacy
        if legacy is None or legacy.database is None:
            return Variant.MEDIA_ONLY
        return Variant.FULL if legacy.media else Variant.DB_ONLY

    def _kind(self) -> DumpKind:
        if isinstance(self.record, PostgresqlRecord):
            return "folder" if self.record.format == "directory" else "script"
        legacy = self._opened.legacy
        return "script" if legacy is not None and legacy.engine == "postgresql" else "file"


class SafetySource:
    """See `Source`. What an earlier restore replaced, as `runner undo` brings it back."""

    def __init__(self, replaced: Replaced) -> None:
        self._replaced = replaced
        self.label = f"the state before {replaced.run_id}"
        self.shown = msg("the state before {run}", run=replaced.run_id)
        self.archive_id: str | None = None
        self.record: DatabaseRecord | None = (
            replaced.database.record if isinstance(replaced.database, KeptDump) else None
        )
        self.exclude = replaced.exclude
        has_both = replaced.database is not None and (replaced.media is not None or replaced.media_created)
        self.offered = Variant.FULL if has_both else Variant.DB_ONLY if replaced.database else Variant.MEDIA_ONLY

    def offer(self, *, trusted: bool) -> Offer:  # noqa: ARG002 - it was this machine's own live state
        match self._replaced.database:
            case KeptDump(path=path, record=record):
                return Offer("folder", record, trusted=True, unpacked_bytes=_size_of(Path(path)))
            case KeptOnServer(name=name, oid=oid):
                return Offer("kept", None, trusted=True, kept=KeptDatabase(name, oid))
            case KeptFile(path=path):
                return Offer("file", None, trusted=True, unpacked_bytes=_size_of(Path(path)))
            case None:
                return Offer("file", None, trusted=True)

    def media_paths(self) -> Iterator[bytes]:
        return iter(())  # they come from this very file system

    def media_bytes(self) -> int:
        return 0  # a rename; where it has to be a copy, its own writing says when there is no room

    def dump(self, folder: Path, lanes: int = 1, advance: Advance = _nothing) -> DumpSource:  # noqa: ARG002 - nothing is unpacked
        match self._replaced.database:
            case KeptDump(path=path):
                _must_be_there(Path(path))
                return DumpFolder(Path(path))
            case KeptOnServer(name=name, oid=oid):
                return KeptDatabase(name, oid)
            case KeptFile(path=path, sha256=expected):
                _must_be_there(Path(path))
                if expected is not None and file_sha256(Path(path)) != expected:
                    raise IntegrityError(
                        msg("the safety copy is not what it was when it was made"),
                        where=path,
                        hint=msg("keep it, and restore an archive; `runner list` shows them"),
                    )
                copy = folder / "database.sqlite3"
                copy.touch(PRIVATE_FILE)
                shutil.copyfile(path, copy)  # staging changes the file that it is given; the safety copy stays
                return DumpFile(copy)
            case None:
                raise _gone(self.label)

    def stage_media(self, media: MediaRestoration, note: MediaNote, advance: Advance) -> tuple[Finding, ...]:
        if self._replaced.media is None and self._replaced.media_created:
            media.stage((), note, advance)
            return ()
        if self._replaced.media is None:
            raise _gone(self.label)
        media.adopt(Path(self._replaced.media), note, advance)
        return ()


def _must_be_there(path: Path) -> None:
    if not path.exists():
        raise _gone(str(path))


def _gone(where: str) -> SourceMissing:
    return SourceMissing(
        msg("the safety copy is not there any more"),
        where=where,
        hint=msg("it was moved or removed; restore an archive instead: `runner list` shows them"),
    )


def _size_of(path: Path) -> int:
    with suppress(OSError):
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    return 0
