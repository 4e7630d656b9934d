"""The media half of a backup: a first look that finds every problem, then one pass that copies."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner.archive.compress import is_stored_type
from runner.archive.writer import ArchiveWriter, PackedEntry
from runner.errors import FileLost, Finding, RunnerError, SourceMissing, SourceUnreadable, raise_all
from runner.lanes import Lanes
from runner.media.read import SMALL_BYTES, FileReading, ReadFailed, read_small
from runner.media.select import Selection
from runner.media.walk import Node, Obstacle, ObstacleKind, walk
from runner.messages import Message, msg, printable
from runner.model.manifest import InventoryEntry, MediaRecord
from runner.model.profile import Compression, MediaConfig
from runner.workflow.entries import entry_of
from runner.workflow.references import SHOWN, ReferenceCheck

_MORE_ATTEMPTS_WHEN_NAMED = 2
_PAUSE_SECONDS = 0.2
_BATCH_BYTES = 2 << 20
_BATCH_ITEMS = 256
_LEFT_TO_THE_COPY = (ObstacleKind.SPECIAL, ObstacleKind.VANISHED)


@dataclass(slots=True)
class Survey:
    """What the first look found: how much there is to copy, and how much of it does not shrink by its type."""

    files: int = 0
    bytes: int = 0
    stored_bytes: int = 0


def check_sources(media: MediaConfig) -> list[RunnerError]:
    """The root and the required entries, before anything is written."""
    try:
        there = media.root.is_dir()
        absent = [required for required in media.required if there and not (media.root / required).exists()]
    except OSError as error:
        return [_root_unreadable(media, error)]
    if not there:
        return [
            SourceMissing(
                msg("the media root is not there, or is not a folder"),
                where=str(media.root),
                hint=msg("check `media.root` in the profile, and that the disk it lies on is mounted"),
            )
        ]
    return [
        SourceMissing(
            msg("`{path}` is required and not there", path=required),
            where=str(media.root),
            hint=msg("create it if it is meant to be empty, or take it out of `media.required`"),
        )
        for required in absent
    ]


def survey(media: MediaConfig, compression: Compression) -> Survey:
    """Look at everything once. Raises all that cannot be saved, together."""
    found = Survey()
    errors: list[RunnerError] = []
    for item in _walked(media):
        if isinstance(item, Obstacle):
            if item.kind not in _LEFT_TO_THE_COPY:
                errors.append(_unsaved(item, media))
        elif not item.is_directory and not item.is_link:
            found.files += 1
            found.bytes += item.status.st_size
            if is_stored_type(item.path, compression):
                found.stored_bytes += item.status.st_size
    if len(errors) > SHOWN:
        more = SourceUnreadable(msg("and {count} more like these", count=len(errors) - SHOWN), where=str(media.root))
        errors = [*errors[:SHOWN], more]
    raise_all(errors)
    return found


class MediaCopy:
    """Copies the media root into an archive, file by file, each as it is at the moment it is read.

    Small files are read, hashed and deflated in batches by the lanes, and written in order; a large one is streamed.
    """

    def __init__(
        self,
        media: MediaConfig,
        writer: ArchiveWriter,
        check: ReferenceCheck | None,
        lanes: Lanes,
        advance: Callable[[int], object],
        still_right: Callable[[], object] = lambda: None,
    ) -> None:
        """`still_right` is asked often: what it raises ends the copy. `advance` is told of bytes, negative: again."""
        self._media = media
        self._root = Path(os.path.realpath(media.root))
        self._writer = writer
        self._check = check
        self._lanes = lanes
        self._advance = advance
        self._still_right = still_right
        self._passed = 0
        self._counts = {"file": 0, "directory": 0, "link": 0}
        self._bytes = 0
        self.warnings: list[Finding] = []

    def run(self) -> MediaRecord:
        """Raises FileLost, SourceUnreadable, ReferencesMissing."""
        for batch in self._lanes.ordered(self._read, _batches(_walked(self._media))):
            self._still_right()
            self._add(batch)
        if self._check is not None:
            self._check.finish()
        return MediaRecord(
            root=printable(str(self._media.root)),
            exclude=self._media.exclude,
            files=self._counts["file"],
            directories=self._counts["directory"],
            links=self._counts["link"],
            bytes=self._bytes,
        )

    def _read(self, batch: list[Node | Obstacle]) -> list["_Ready | Node | Obstacle"]:
        """In a lane: each item ready to be written, or as it was where it takes more than one quiet reading."""
        return [self._ready(item) or item for item in batch]

    def _ready(self, item: Node | Obstacle) -> "_Ready | None":
        if isinstance(item, Obstacle):
            return None
        if item.is_directory or item.is_link:
            return _Ready(item.path, self._writer.pack_node(entry_of(item)))
        if item.status.st_size > SMALL_BYTES or (found := read_small(f"{self._root}/{item.path}")) is None:
            return None
        return _Ready(item.path, self._writer.pack(entry_of(Node(item.path, found.status)), found.content))

    def _add(self, batch: list["_Ready | Node | Obstacle"]) -> None:
        """Write a batch in its order: what is ready in one go, up to the next item that is not."""
        ready: list[_Ready] = []
        for item in batch:
            if isinstance(item, _Ready):
                ready.append(item)
                continue
            self._add_ready(ready)
            ready = []
            if isinstance(item, Obstacle):
                self._meet(item)
            else:
                self._copy(item.path)
        self._add_ready(ready)

    def _add_ready(self, ready: list["_Ready"]) -> None:
        if not ready:
            return
        self._writer.add_packed([each.packed for each in ready])
        size = 0
        for path, packed in ready:
            self._counts[packed.entry.type] += 1
            if packed.entry.type == "file":
                size += packed.entry.size
                if self._check is not None:
                    self._check.archived(path)
        self._bytes += size
        if size:
            self._advance(size)

    def _copy(self, path: str) -> None:
        """Two attempts; more for a file that the live database still names, and then it is an error."""
        if self._attempt(path) is _Outcome.KEPT:
            return
        if self._is_named(path):
            outcome = _Outcome.CHANGED
            for _ in range(_MORE_ATTEMPTS_WHEN_NAMED):
                time.sleep(_PAUSE_SECONDS)
                outcome = self._attempt(path)
                if outcome is _Outcome.KEPT:
                    return
            if self._is_named(path):
                raise self._lost(path, outcome)
        if self._attempt(path, keep_changed=True) is _Outcome.VANISHED:
            self._leave_out(path)

    def _attempt(self, relative: str, *, keep_changed: bool = False) -> "_Outcome":
        """Read the file once. Unless it was kept, the archive is as it was before."""
        with self._writer.turn():
            mark = self._writer.mark()
            self._passed = 0
            outcome = self._streamed(relative, keep_changed=keep_changed)
            if outcome is not _Outcome.KEPT:
                self._writer.rewind(mark)
                if self._passed:
                    self._advance(-self._passed)
            return outcome

    def _streamed(self, relative: str, *, keep_changed: bool) -> "_Outcome":
        path = self._root / relative
        try:
            with FileReading(path) as reading:
                entry = entry_of(Node(relative, reading.status))
                chunks = self._passing(reading.chunks())
                entry = self._writer.add_media_file(entry, chunks, reading.status.st_size)
        except FileNotFoundError:
            return _Outcome.VANISHED
        except ReadFailed as error:
            raise SourceUnreadable(
                msg("the file cannot be read: {reason}", reason=error.reason),
                where=str(path),
                hint=msg("check its permissions and the disk; an archive without it would lie, so none was made"),
            ) from None
        if reading.changed and not keep_changed:
            return _Outcome.CHANGED
        if reading.changed:
            entry = msgspec.structs.replace(entry, changed=True)
            self._warn(
                "media.changed", msg("the file changed each time it was read; the archive may mix two states"), relative
            )
        self._keep(relative, entry)
        return _Outcome.KEPT

    def _passing(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._still_right()
            yield chunk
            self._passed += len(chunk)
            self._advance(len(chunk))

    def _keep(self, path: str, entry: InventoryEntry) -> None:
        self._writer.record(entry)
        self._counts["file"] += 1
        self._bytes += entry.size
        if self._check is not None:
            self._check.archived(path)

    def _is_named(self, path: str) -> bool:
        return self._check is not None and self._check.is_pending(path) and self._check.still_named(path)

    def _lost(self, path: str, outcome: "_Outcome") -> FileLost:
        message = (
            msg("the file vanished while it was read, and the database still names it")
            if outcome is _Outcome.VANISHED
            else msg("the file changed each time it was read, and the database names it")
        )
        hint = msg("run the backup again when the application has finished with the file")
        return FileLost(message, where=str(self._root / path), hint=hint)

    def _leave_out(self, path: str) -> None:
        if self._check is not None and self._check.is_pending(path):
            self._check.forget(path)
        else:
            self._warn("media.vanished", msg("the file vanished while it was read"), path)

    def _meet(self, obstacle: Obstacle) -> None:
        """What the survey let pass, or did not see."""
        match obstacle.kind:
            case ObstacleKind.SPECIAL:
                self._warn("media.special", msg("a {kind} is not saved", kind=obstacle.detail), obstacle.path)
            case ObstacleKind.VANISHED if obstacle.detail == "file":
                self._copy(obstacle.path)  # it may be back, and the database may name it
            case ObstacleKind.VANISHED:
                self._leave_out(obstacle.path)
            case _:
                raise _unsaved(obstacle, self._media)

    def _warn(self, code: str, message: Message, path: str) -> None:
        self.warnings.append(Finding(code, message, str(self._media.root / path)))


class _Ready(NamedTuple):
    """An item that was read in one quiet reading, with its path below the root."""

    path: str
    packed: PackedEntry


class _Outcome(Enum):
    KEPT = "kept"
    CHANGED = "changed"
    VANISHED = "vanished"


def _batches(items: Iterable[Node | Obstacle]) -> Iterator[list[Node | Obstacle]]:
    """A few MiB of small files each, or one large file alone."""
    batch: list[Node | Obstacle] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.status.st_size if isinstance(item, Node) else 0
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_ITEMS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _walked(media: MediaConfig) -> Iterator[Node | Obstacle]:
    """The walk, with a root that cannot be listed as our error."""
    try:
        yield from walk(media.root, Selection(media.exclude))
    except OSError as error:
        raise _root_unreadable(media, error) from None


def _root_unreadable(media: MediaConfig, error: OSError) -> SourceUnreadable:
    return SourceUnreadable(
        msg("the media root cannot be read: {reason}", reason=error.strerror or str(error)),
        where=str(media.root),
        hint=msg("check its permissions and the disk"),
    )


def _unsaved(obstacle: Obstacle, media: MediaConfig) -> SourceUnreadable:
    """The error for something that belongs in the backup and cannot be saved."""
    where = str(media.root / obstacle.path)
    match obstacle.kind:
        case ObstacleKind.LINK_OUTSIDE:
            return SourceUnreadable(
                msg("the link leads out of the media root, to `{target}`", target=obstacle.detail),
                where=where,
                hint=msg("move what it points at below the root, or leave the link out with `media.exclude`"),
            )
        case ObstacleKind.PLACEHOLDER:
            return SourceUnreadable(
                msg("the file's content is in the cloud and not on this disk"),
                where=where,
                hint=msg('choose "Always keep on this device" for it, or leave it out with `media.exclude`'),
            )
        case _:
            return SourceUnreadable(
                msg("it cannot be read: {reason}", reason=obstacle.detail),
                where=where,
                hint=msg("check its permissions and the disk, or leave it out with `media.exclude`"),
            )
