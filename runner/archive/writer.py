"""Writes an archive in one pass: each member with its hashes as it comes, then the manifest that describes them all.

The file is new, private and seekable; it gets its final name only after `seal`, elsewhere. Memory stays flat: the
central directory and the inventory grow in temporary files. Two threads may write, each a whole member at a time: the
dump's members and the media's lie in between each other, each half in its own order.
"""

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from runner.archive import layout
from runner.archive.compress import worth_deflating
from runner.archive.inventory import encode_line, member_name, raw_target, stat_mode
from runner.archive.layout import Ending, Stamp
from runner.archive.manifest import encode_manifest
from runner.archive.members import MANIFEST_MODE, StoredMember, stored_member
from runner.archive.packing import BLOCK_BYTES, Fingerprint, Packed, deflated, pack
from runner.durable import FlushBehind
from runner.lanes import Lanes
from runner.model.manifest import INVENTORY_NAME, MANIFEST_NAME, InventoryEntry, Manifest, Member
from runner.model.profile import Compression


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that a writer can go back to, as when a file changed while it was read."""

    archive: int
    directory: int
    inventory: int
    members: int


@dataclass(frozen=True, slots=True)
class PackedEntry:
    """A media entry that is ready to be written: its line of the inventory, what its headers say, its content."""

    entry: InventoryEntry
    member: StoredMember
    crc: int
    stored: bytes


@dataclass(frozen=True, slots=True)
class _MemberHead:
    """What of a header is known before the content: the name as it stands in the zip, the time and the mode."""

    name: str
    stamp: Stamp
    mode: int

    def length(self, *, zip64: bool) -> int:
        """How long the local header is."""
        return layout.local_length(len(self.name.encode("utf-8")), self.stamp, zip64=zip64)


@dataclass(frozen=True, slots=True)
class _Written:
    """What is known of a member once its content has passed. `sha256_stored` None: it is stored as it is."""

    size: int
    size_stored: int
    crc: int
    sha256: str
    sha256_stored: str | None
    zip64: bool

    @classmethod
    def of(cls, packed: Packed) -> "_Written":
        stored = len(packed.stored)
        return cls(packed.size, stored, packed.crc, packed.sha256, packed.sha256_stored, zip64=False)

    def as_member(self, name: str, offset: int) -> Member:
        deflated = self.sha256_stored is not None
        return Member(
            name=name,
            size=self.size,
            sha256=self.sha256,
            method="deflate" if deflated else "store",
            size_stored=self.size_stored if deflated else None,
            sha256_stored=self.sha256_stored,
            zip64=self.zip64,
            offset=offset,
        )

    def into(self, entry: InventoryEntry) -> InventoryEntry:
        deflated = self.sha256_stored is not None
        return msgspec.structs.replace(
            entry,
            size=self.size,
            sha256=self.sha256,
            method="deflate" if deflated else "store",
            size_stored=self.size_stored if deflated else None,
            sha256_stored=self.sha256_stored,
            zip64=self.zip64,
        )

    def stored(self, head: _MemberHead) -> StoredMember:
        """The member that its headers describe."""
        described = self.as_member(head.name, 0)
        return stored_member(described, head.name.encode("utf-8"), self.sha256, head.stamp, head.mode)


class ArchiveWriter:
    """Call `add_*`, each half in the order of the archive, `end_media` after the last of both, `seal` once at the end.

    Use as a context manager. `lanes` hash and deflate; they belong to the caller.
    """

    def __init__(
        self, file: BinaryIO, scratch: Path, created_at: datetime, compression: Compression, lanes: Lanes
    ) -> None:
        self._file = file
        self._stamp = layout.moment_stamp(created_at)
        self._offset_seconds = layout.offset_seconds(created_at)
        self._compression = compression
        self._lanes = lanes
        self._turn = threading.RLock()
        self._open = ExitStack()
        self._directory = self._open.enter_context(_scratch_file(scratch))
        self._inventory = self._open.enter_context(_scratch_file(scratch))
        self._flush = FlushBehind(file)
        self._count = 0
        self._position = 0
        self.members: list[Member] = []

    def __enter__(self) -> "ArchiveWriter":
        self._open.enter_context(self._flush)
        return self

    def __exit__(self, *_: object) -> None:
        """Drop the temporary files. The archive's own file belongs to the caller."""
        self._open.close()

    @property
    def size_bytes(self) -> int:
        """How much has been written."""
        return self._position

    def turn(self) -> AbstractContextManager[object]:
        """Nobody else writes meanwhile. For what may be taken back: `mark`, some `add_*`, `rewind`."""
        return self._turn

    def mark(self) -> Mark:
        """Where the writer stands now."""
        return Mark(self._position, self._directory.tell(), self._inventory.tell(), self._count)

    def rewind(self, mark: Mark) -> None:
        """Forget every media entry written since `mark`."""
        for file, position in (
            (self._file, mark.archive),
            (self._directory, mark.directory),
            (self._inventory, mark.inventory),
        ):
            file.seek(position)
            file.truncate()
        self._position, self._count = mark.archive, mark.members

    def add_member(self, name: str, chunks: Iterable[bytes], expected_size: int, *, deflate: bool) -> Member:
        """Add a member that is not media. `expected_size` is the most that the content may have."""
        head = self._own_head(name)
        chunks = iter(chunks)
        begun = next(chunks, b"")  # what takes long before its first byte, holds nobody up
        with self._turn:
            offset = self._position
            compression = self._compression if deflate else Compression.STORE
            written = self._write(head, chain((begun,), chunks), expected_size, compression)
            member = written.as_member(name, offset)
            self.members.append(member)
        return member

    def pack(self, entry: InventoryEntry, content: bytes) -> PackedEntry:
        """Everything but the writing, for a file whose content is in memory. Any thread may do it."""
        return self._packed(entry, pack(entry.path, content, self._compression))

    def pack_node(self, entry: InventoryEntry) -> PackedEntry:
        """The same for a folder (no content) or a link (its content is the target)."""
        return self._packed(entry, pack(entry.path, raw_target(entry), Compression.STORE))

    def add_packed(self, entries: Sequence[PackedEntry]) -> None:
        """Add media entries and their lines of the inventory."""
        with self._turn:
            contents: list[bytes] = []
            directory: list[bytes] = []
            position = self._position
            for each in entries:
                local, central = each.member.headers(each.crc, position)
                contents += (local, each.stored)
                directory.append(central)
                position += each.member.whole_length
            self._file.write(b"".join(contents))
            self._directory.write(b"".join(directory))
            self._inventory.write(b"".join(encode_line(each.entry) for each in entries))
            self._count += len(entries)
            self._reached(position)

    def add_media_file(self, entry: InventoryEntry, chunks: Iterable[bytes], expected_size: int) -> InventoryEntry:
        """Add a file. `entry` holds what is known before its content is read; the returned one is complete."""
        with self._turn:
            written = self._write(self._media_head(entry), iter(chunks), expected_size, self._compression)
        return written.into(entry)

    def record(self, entry: InventoryEntry) -> None:
        """Write the inventory line of the file just added by `add_media_file`."""
        self._inventory.write(encode_line(entry))

    def end_media(self) -> Member:
        """Add the inventory itself."""
        size = self._inventory.tell()
        self._inventory.seek(0)
        return self.add_member(INVENTORY_NAME, _chunks_of(self._inventory), size, deflate=True)

    def seal(self, draft: Manifest) -> Manifest:
        """Add the manifest and the central directory, and flush everything to the disk.

        Returns the manifest: the draft with the members that were written.
        """
        manifest = msgspec.structs.replace(draft, members=tuple(self.members))
        content = encode_manifest(manifest)
        written = self._write(self._own_head(MANIFEST_NAME), iter((content,)), len(content), Compression.STORE)
        size = self._directory.tell()
        ending = Ending(self._position, size, self._count, len(content), written.sha256)
        self._directory.seek(0)
        for chunk in _chunks_of(self._directory):
            self._file.write(chunk)
        self._file.write(layout.end_records(ending))
        self._position = self._file.tell()
        self._flush.finish()
        return manifest

    def _own_head(self, name: str) -> _MemberHead:
        return _MemberHead(name, self._stamp, MANIFEST_MODE)

    def _media_head(self, entry: InventoryEntry) -> _MemberHead:
        stamp = layout.media_stamp(entry.mtime_ns, self._offset_seconds)
        return _MemberHead(member_name(entry), stamp, stat_mode(entry))

    def _packed(self, entry: InventoryEntry, packed: Packed) -> PackedEntry:
        written = _Written.of(packed)
        whole = entry if entry.type == "directory" else written.into(entry)
        return PackedEntry(whole, written.stored(self._media_head(entry)), packed.crc, packed.stored)

    def _write(
        self, head: _MemberHead, chunks: Iterator[bytes], expected_size: int, compression: Compression
    ) -> _Written:
        first = next(chunks, b"")
        second = next(chunks, None)
        if second is None:
            return self._write_small(head, first, compression)
        if not worth_deflating(head.name, first, compression):
            compression = Compression.STORE
        return self._write_large(head, chain((first, second), chunks), expected_size, compression)

    def _write_small(self, head: _MemberHead, content: bytes, compression: Compression) -> _Written:
        """Content that is in memory already: header and bytes go out in one write, with nothing to patch."""
        packed = pack(head.name, content, compression)
        written = _Written.of(packed)
        member = written.stored(head)
        local = self._describe(member, written.crc)
        self._file.write(local + packed.stored)
        self._reached(self._position + member.whole_length)
        return written

    def _write_large(
        self, head: _MemberHead, chunks: Iterator[bytes], expected_size: int, compression: Compression
    ) -> _Written:
        """Content that is streamed: room for the header first, the header itself when everything is known."""
        start = self._position
        zip64 = expected_size >= layout.ZIP64_FROM
        self._file.write(b"\0" * head.length(zip64=zip64))
        content, stored = Fingerprint(self._lanes), Fingerprint(self._lanes)
        if compression is Compression.STORE:
            self._append(chunks, content)
        else:
            self._append(deflated(_passing(chunks, content), compression, self._lanes), stored)
        whole = content if compression is Compression.STORE else stored
        written = _Written(
            content.size,
            whole.size,
            content.crc(),
            content.sha256(),
            None if compression is Compression.STORE else stored.sha256(),
            zip64,
        )
        member = written.stored(head)
        end = start + member.whole_length
        self._file.seek(start)
        self._file.write(self._describe(member, written.crc))
        self._file.seek(end)
        self._reached(end)
        return written

    def _append(self, chunks: Iterable[bytes], fingerprint: Fingerprint) -> None:
        for chunk in chunks:
            fingerprint.update(chunk)
            self._file.write(chunk)
            self._flush.written(self._file.tell())

    def _describe(self, member: StoredMember, crc: int) -> bytes:
        """Note the member that begins here in the central directory; returns its local header."""
        local, central = member.headers(crc, self._position)
        self._directory.write(central)
        self._count += 1
        return local

    def _reached(self, end: int) -> None:
        """The next member begins at `end`."""
        self._position = end
        self._flush.written(end)


def _scratch_file(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _passing(chunks: Iterable[bytes], fingerprint: Fingerprint) -> Iterator[bytes]:
    for chunk in chunks:
        fingerprint.update(chunk)
        yield chunk


def _chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(BLOCK_BYTES):
        yield chunk
