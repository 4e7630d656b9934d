"""Writes an archive in one pass: members in order, each with its hashes, then the manifest that describes them all.

The file is new, private and seekable; it gets its final name only after `seal`, elsewhere. Memory stays flat: the
central directory and the inventory grow in temporary files.
"""

import hashlib
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec
from isal import isal_zlib

from runner.archive import layout
from runner.archive.compress import new_deflater, worth_deflating
from runner.archive.inventory import encode_line, member_name, raw_target, stat_mode
from runner.archive.layout import Ending, Header
from runner.archive.manifest import encode_manifest
from runner.durable import flush_file
from runner.model.manifest import INVENTORY_NAME, MANIFEST_NAME, InventoryEntry, Manifest, Member, Method
from runner.model.profile import Compression

CHUNK_BYTES = 1 << 20
_MEMBER_MODE = stat.S_IFREG | 0o600


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that a writer can go back to, as when a file changed while it was read."""

    archive: int
    directory: int
    inventory: int
    members: int


@dataclass(frozen=True, slots=True)
class _Written:
    size: int
    sha256: str
    method: Method
    size_stored: int | None
    sha256_stored: str | None
    zip64: bool

    def as_member(self, name: str, offset: int) -> Member:
        return Member(
            name=name,
            size=self.size,
            sha256=self.sha256,
            method=self.method,
            size_stored=self.size_stored,
            sha256_stored=self.sha256_stored,
            zip64=self.zip64,
            offset=offset,
        )

    def into(self, entry: InventoryEntry) -> InventoryEntry:
        return msgspec.structs.replace(
            entry,
            size=self.size,
            sha256=self.sha256,
            method=self.method,
            size_stored=self.size_stored,
            sha256_stored=self.sha256_stored,
            zip64=self.zip64,
        )


@dataclass(frozen=True, slots=True)
class _MemberHead:
    """What of a header is known before the content: the name as it stands in the zip, the time and the mode."""

    name: str
    modified: datetime
    mode: int


class ArchiveWriter:
    """Call `add_*` in the order of the archive, `end_media` after the last media entry, `seal` once at the end."""

    def __init__(self, file: BinaryIO, scratch: Path, created_at: datetime, compression: Compression) -> None:
        self._file = file
        self._created_at = created_at.replace(microsecond=0)
        self._offset: timedelta = created_at.utcoffset() or timedelta(0)
        self._compression = compression
        self._directory = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed by `close`, lives as long as we do
        self._inventory = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - likewise
        self._count = 0
        self._position = 0
        self.members: list[Member] = []

    def close(self) -> None:
        """Drop the temporary files. The archive's own file belongs to the caller."""
        self._directory.close()
        self._inventory.close()

    def __enter__(self) -> "ArchiveWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size_bytes(self) -> int:
        """How much has been written."""
        return self._position

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
        head = _MemberHead(name, self._created_at, _MEMBER_MODE)
        offset = self._position
        written = self._write(head, iter(chunks), expected_size, self._compression if deflate else Compression.STORE)
        member = written.as_member(name, offset)
        self.members.append(member)
        return member

    def add_media_file(self, entry: InventoryEntry, chunks: Iterable[bytes], expected_size: int) -> InventoryEntry:
        """Add a file. `entry` holds what is known before its content is read; the returned one is complete."""
        written = self._write(self._media_head(entry), iter(chunks), expected_size, self._compression)
        return written.into(entry)

    def add_media_node(self, entry: InventoryEntry) -> InventoryEntry:
        """Add a folder (no content) or a link (its content is the target)."""
        content = raw_target(entry)
        written = self._write(self._media_head(entry), iter((content,)), len(content), Compression.STORE)
        if entry.type == "directory":
            return entry
        return written.into(entry)

    def record(self, entry: InventoryEntry) -> None:
        """Write the inventory line of the entry just added."""
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
        head = _MemberHead(MANIFEST_NAME, self._created_at, _MEMBER_MODE)
        written = self._write(head, iter((content,)), len(content), Compression.STORE)
        size = self._directory.tell()
        ending = Ending(self._position, size, self._count, len(content), written.sha256)
        self._directory.seek(0)
        for chunk in _chunks_of(self._directory):
            self._file.write(chunk)
        self._file.write(layout.end_records(ending))
        self._position = self._file.tell()
        flush_file(self._file)
        return manifest

    def _media_head(self, entry: InventoryEntry) -> _MemberHead:
        return _MemberHead(member_name(entry), layout.member_time(entry.mtime_ns, self._offset), stat_mode(entry))

    def _write(
        self, head: _MemberHead, chunks: Iterator[bytes], expected_size: int, compression: Compression
    ) -> _Written:
        first = next(chunks, b"")
        second = next(chunks, None)
        deflate = worth_deflating(head.name, first, compression)
        if second is None:
            return self._write_small(head, first, compression if deflate else None)
        rest = _chained(first, second, chunks)
        return self._write_large(head, rest, expected_size, compression if deflate else None)

    def _write_small(self, head: _MemberHead, content: bytes, compression: Compression | None) -> _Written:
        """Content that is in memory already: header and bytes go out in one write, with nothing to patch."""
        stored = content
        if compression is not None:
            deflater = new_deflater(compression)
            stored = deflater.compress(content) + deflater.flush()
        method: Method = "store" if compression is None else "deflate"
        written = _Written(
            len(content),
            hashlib.sha256(content).hexdigest(),
            method,
            None if compression is None else len(stored),
            None if compression is None else hashlib.sha256(stored).hexdigest(),
            zip64=False,
        )
        header = _header(head, written, isal_zlib.crc32(content))
        self._file.write(layout.local_header(header) + stored)
        self._finish(header)
        return written

    def _write_large(
        self, head: _MemberHead, chunks: Iterator[bytes], expected_size: int, compression: Compression | None
    ) -> _Written:
        """Content that is streamed: room for the header first, the header itself when everything is known."""
        start = self._position
        zip64 = expected_size >= layout.ZIP64_FROM
        room = layout.local_header_length(head.name.encode("utf-8"), head.modified, zip64=zip64)
        self._file.write(b"\0" * room)
        content_hash, stored_hash, crc, size, size_stored = hashlib.sha256(), hashlib.sha256(), 0, 0, 0
        deflater = None if compression is None else new_deflater(compression)
        for chunk in chunks:
            content_hash.update(chunk)
            crc = isal_zlib.crc32(chunk, crc)
            size += len(chunk)
            stored = chunk if deflater is None else deflater.compress(chunk)
            size_stored += self._append(stored, stored_hash, plain=deflater is None)
        if deflater is not None:
            size_stored += self._append(deflater.flush(), stored_hash, plain=False)
        written = _Written(
            size,
            content_hash.hexdigest(),
            "store" if deflater is None else "deflate",
            None if deflater is None else size_stored,
            None if deflater is None else stored_hash.hexdigest(),
            zip64,
        )
        header = _header(head, written, crc)
        self._file.seek(start)
        self._file.write(layout.local_header(header))
        self._file.seek(start + room + size_stored)
        self._finish(header)
        return written

    def _append(self, stored: bytes, stored_hash: "hashlib._Hash", *, plain: bool) -> int:
        if not plain:
            stored_hash.update(stored)
        self._file.write(stored)
        return len(stored)

    def _finish(self, header: Header) -> None:
        self._directory.write(layout.central_header(header, self._position))
        self._count += 1
        self._position = self._file.tell()


def _header(head: _MemberHead, written: _Written, crc: int) -> Header:
    return Header(
        name=head.name.encode("utf-8"),
        method=layout.STORED if written.method == "store" else layout.DEFLATED,
        crc=crc,
        size=written.size,
        size_stored=written.size if written.size_stored is None else written.size_stored,
        modified=head.modified,
        mode=head.mode,
        zip64=written.zip64,
    )


def _chained(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _chunks_of(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
