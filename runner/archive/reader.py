"""Reads an archive without trusting any of it: every byte is compared with what the manifest says it must be.

The end of the file names the manifest's size and sha256; the manifest holds the hashes of all members but media, and
of the inventory; the inventory holds those of the media. From the two, every header and the central directory are
derived and compared. The reader shares no state with the writer and never extracts a path it was not asked for.
"""

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from runner.archive import layout
from runner.archive.inventory import member_name, read_lines, stat_mode
from runner.archive.layout import Ending
from runner.archive.manifest import MAX_MANIFEST_BYTES, decode_manifest
from runner.archive.members import MANIFEST_MODE, StoredMember
from runner.archive.names import is_safe_member
from runner.errors import ArchiveDamaged
from runner.messages import msg
from runner.model.manifest import INVENTORY_NAME, MANIFEST_NAME, MEDIA_PREFIX, InventoryEntry, Manifest, Member

CHUNK_BYTES = 1 << 20


class NotAnArchive(ArchiveDamaged):
    """The file does not end like an archive of this format; it may be a legacy one, or something else."""

    code = "integrity.not-an-archive"


class ArchiveReader:
    """An open archive whose manifest has been read and checked. `name` is what messages call it."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Raises NotAnArchive, ArchiveDamaged, or Refused for a newer format."""
        self._file = file
        self.name = name
        self.size_bytes = file.seek(0, io.SEEK_END)
        self.ending = self._read_ending()
        content = self._read_manifest_bytes()
        self.manifest: Manifest = decode_manifest(content, name)
        self.created_at = self._creation_time()
        self._offset: timedelta = self.created_at.utcoffset() or timedelta(0)
        self.manifest_member = self._stored(
            Member(name=MANIFEST_NAME, size=len(content), sha256=self.ending.manifest_sha256)
        )
        self._check_members()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file. Raises OSError besides what the constructor raises."""
        file = path.open("rb")
        try:
            return cls(file, path.name)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def members(self) -> Iterator[StoredMember]:
        """Every member in the order in which it lies in the archive, the manifest last. Raises InventoryInvalid."""
        return (member for member, _ in self.walk())

    def own_members(self) -> tuple[StoredMember, ...]:
        """The members that the manifest lists, all but the media and itself, in the order in which they lie."""
        return tuple(map(self._stored, self.manifest.members))

    def walk(self) -> Iterator[tuple[StoredMember, InventoryEntry | None]]:
        """The same, each media member with its entry of the inventory."""
        for member in self.manifest.members:
            if member.name == INVENTORY_NAME:
                yield from ((self.media_member(entry), entry) for entry in self.entries())
            yield self._stored(member), None
        yield self.manifest_member, None

    def entries(self) -> Iterator[InventoryEntry]:
        """The inventory, streamed; empty for an archive without media. Raises InventoryInvalid, ArchiveDamaged.

        Its checksum is compared before the first line is believed.
        """
        found = self._from_the_end(INVENTORY_NAME)
        if found is None:
            return
        member, position = found
        for _ in self.content(member, position):
            pass
        with io.BufferedReader(_RawMember(self.content(member, position)), CHUNK_BYTES) as lines:
            yield from read_lines(lines)

    def media_member(self, entry: InventoryEntry) -> StoredMember:
        """The member of an inventory entry."""
        return StoredMember(
            member_name(entry),
            entry.size,
            hashlib.sha256(b"").hexdigest() if entry.sha256 is None else entry.sha256,
            entry.method,
            entry.size_stored,
            entry.sha256_stored,
            entry.zip64,
            layout.member_time(entry.mtime_ns, self._offset),
            stat_mode(entry),
        )

    def read(self, name: str) -> bytes:
        """The whole content of a small member that lies behind the media (`RESTORE.txt`), checked."""
        found = self._from_the_end(name)
        if found is None:
            raise ArchiveDamaged(msg("`{member}` is not in the archive", member=name), where=self.name)
        return b"".join(self.content(*found))

    def content(self, member: StoredMember, position: int) -> Iterator[bytes]:
        """Stream the content of the member at `position`; raises ArchiveDamaged at the end if it differs."""
        digest, size = hashlib.sha256(), 0
        for chunk in self.inflated(member, position + member.header_length):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if size != member.size or digest.hexdigest() != member.sha256:
            raise self._damaged(member.name)

    def inflated(
        self, member: StoredMember, position: int, sink: Callable[[bytes], object] | None = None
    ) -> Iterator[bytes]:
        """The content of the bytes at `position`, never much more than `size`; `sink` gets the bytes as stored.

        Raises ArchiveDamaged for a deflate stream that is broken, too short or too long.
        """
        raw = self.raw(position, member.stored_bytes)
        if member.method == "store":
            for chunk in raw:
                if sink is not None:
                    sink(chunk)
                yield chunk
            return
        inflater, size = zlib.decompressobj(-15), 0
        try:
            for chunk in raw:
                if sink is not None:
                    sink(chunk)
                pending = chunk
                while pending and size <= member.size:
                    if inflater.eof:
                        raise self._damaged(member.name)
                    content = inflater.decompress(pending, CHUNK_BYTES)
                    size += len(content)
                    pending = inflater.unconsumed_tail
                    yield content
            while not inflater.eof and size <= member.size and (content := inflater.decompress(b"", CHUNK_BYTES)):
                size += len(content)
                yield content
        except zlib.error:
            raise self._damaged(member.name) from None
        if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
            raise self._damaged(member.name)

    def raw(self, position: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `position`, in chunks; fewer when the file is shorter."""
        end = position + length
        while position < end:
            self._file.seek(position)
            chunk = self._file.read(min(CHUNK_BYTES, end - position))
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    def _damaged(self, member: str) -> ArchiveDamaged:
        return ArchiveDamaged(msg("`{member}` differs from its checksum", member=member), where=self.name)

    def _stored(self, member: Member) -> StoredMember:
        return StoredMember(
            member.name,
            member.size,
            member.sha256,
            member.method,
            member.size_stored,
            member.sha256_stored,
            member.zip64,
            self.created_at,
            MANIFEST_MODE,
        )

    def _read_ending(self) -> Ending:
        length = min(layout.TAIL_LENGTH, self.size_bytes)
        tail = b"".join(self.raw(self.size_bytes - length, length))
        ending = layout.parse_ending(tail)
        if ending is None:
            raise NotAnArchive(
                msg("does not end like an archive of runner: cut short, damaged, or made by something else"),
                where=self.name,
            )
        return ending

    def _read_manifest_bytes(self) -> bytes:
        """The manifest's content, which lies just before the central directory."""
        size, end = self.ending.manifest_size, self.ending.directory_offset
        if not 0 < size <= min(end, MAX_MANIFEST_BYTES) or end > self.size_bytes:
            raise self._damaged(MANIFEST_NAME)
        content = b"".join(self.raw(end - size, size))
        if hashlib.sha256(content).hexdigest() != self.ending.manifest_sha256:
            raise self._damaged(MANIFEST_NAME)
        return content

    def _creation_time(self) -> datetime:
        try:
            created = datetime.fromisoformat(self.manifest.created_at_local)
        except ValueError:
            created = None
        if created is None or created.utcoffset() is None:
            raise ArchiveDamaged(msg("the manifest's time of creation is not one"), where=self.name)
        return created

    def _check_members(self) -> None:
        """The manifest's own claims about members must be possible before anything is read by them."""
        names = [member.name for member in self.manifest.members]
        has_inventory = INVENTORY_NAME in names
        in_range = all(
            layout.is_representable(member.name, stored.size, stored.stored_bytes, zip64=member.zip64)
            for member in self.manifest.members
            for stored in (self._stored(member),)
        )
        reserved = any(name == MANIFEST_NAME or name.startswith(MEDIA_PREFIX) for name in names)
        contradictory = len(set(names)) != len(names) or has_inventory != (self.manifest.media is not None)
        if contradictory or reserved or not in_range or not all(map(is_safe_member, names)):
            raise ArchiveDamaged(msg("the manifest's list of members contradicts itself"), where=self.name)

    def _from_the_end(self, name: str) -> tuple[StoredMember, int] | None:
        """A member behind the media and where it lies, counted back from the manifest."""
        position = self.ending.directory_offset - self.manifest_member.whole_length
        for member in reversed(self.manifest.members):
            stored = self._stored(member)
            position -= stored.whole_length
            if member.name == name:
                return (stored, position) if position >= 0 else None
            if member.name == INVENTORY_NAME:
                return None
        return None


class _RawMember(io.RawIOBase):
    """A stream of chunks as a readable file, for `BufferedReader`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed's Buffer has no slicing
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
