"""Reads an archive without trusting any of it: every byte is compared with what the manifest says it must be.

The end of the file names the manifest's size and sha256; the manifest holds the hashes of all members but media, and
of the inventory; the inventory holds those of the media. From the two, every header and the central directory are
derived and compared. The reader shares no state with the writer and never extracts a path it was not asked for.
"""

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Self

from runner.archive import layout
from runner.archive.inventory import read_named, stat_mode
from runner.archive.layout import Ending
from runner.archive.manifest import MAX_MANIFEST_BYTES, decode_manifest
from runner.archive.members import MANIFEST_MODE, Located, StoredMember, stored_member
from runner.archive.names import is_safe_member
from runner.archive.positions import reading_at
from runner.errors import ArchiveDamaged
from runner.messages import msg
from runner.model.manifest import INVENTORY_NAME, MANIFEST_NAME, MEDIA_PREFIX, InventoryEntry, Manifest, Member

CHUNK_BYTES = 1 << 20
_NOTHING = hashlib.sha256(b"").hexdigest()


class NotAnArchive(ArchiveDamaged):
    """The file does not end like an archive of this format; it may be a legacy one, or something else."""

    code = "integrity.not-an-archive"


class ArchiveReader:
    """An open archive whose manifest has been read and checked. `name` is what messages call it.

    Several threads may read from it at once.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Raises NotAnArchive, ArchiveDamaged, or Refused for a newer format."""
        self._file = file
        self._read_at = reading_at(file)
        self.name = name
        self.size_bytes = file.seek(0, io.SEEK_END)
        self.ending = self._read_ending()
        content = self._read_manifest_bytes()
        self.manifest: Manifest = decode_manifest(content, name)
        self.created_at = self._creation_time()
        self._stamp = layout.moment_stamp(self.created_at)
        self._offset_seconds = layout.offset_seconds(self.created_at)
        self.manifest_member = self._stored(
            Member(name=MANIFEST_NAME, size=len(content), sha256=self.ending.manifest_sha256)
        )
        self._check_members()
        self._own = self._placed()

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

    def own_members(self) -> tuple[Located, ...]:
        """The members that the manifest lists, all but the media and itself, in the order in which they lie."""
        return self._own

    def walk(self) -> Iterator[Located]:
        """Every member in the order in which it lies in the archive, each media member with its entry of the inventory.

        The manifest comes last. Raises InventoryInvalid, ArchiveDamaged.
        """
        position = 0
        entries = self._named_entries()
        for own in self._own:
            while position < own.position and (named := next(entries, None)) is not None:
                member = self._media_member(*named)
                yield Located(member, position, named[0])
                position += member.whole_length
            if position != own.position:
                raise self._contradictory()
            yield own
            position = own.end
        if next(entries, None) is not None:
            raise self._contradictory()
        yield Located(self.manifest_member, position)

    def entries(self) -> Iterator[InventoryEntry]:
        """The inventory, streamed; empty for an archive without media. Raises InventoryInvalid, ArchiveDamaged.

        Its checksum is compared before the first line is believed.
        """
        return (entry for entry, _ in self._named_entries())

    def _named_entries(self) -> Iterator[tuple[InventoryEntry, bytes]]:
        found = self._find(INVENTORY_NAME)
        if found is None:
            return
        for _ in self.content(found.member, found.position):
            pass
        with io.BufferedReader(_RawMember(self.content(found.member, found.position)), CHUNK_BYTES) as lines:
            yield from read_named(lines)

    def _media_member(self, entry: InventoryEntry, name: bytes) -> StoredMember:
        digest = _NOTHING if entry.sha256 is None else entry.sha256
        return stored_member(
            entry, name, digest, layout.media_stamp(entry.mtime_ns, self._offset_seconds), stat_mode(entry)
        )

    def read(self, name: str) -> bytes:
        """The whole content of a small member that is not media (`RESTORE.txt`), checked."""
        found = self._find(name)
        if found is None:
            raise ArchiveDamaged(msg("`{member}` is not in the archive", member=name), where=self.name)
        return b"".join(self.content(found.member, found.position))

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
            chunk = self.read_at(position, min(CHUNK_BYTES, end - position))
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    def read_at(self, position: int, length: int) -> bytes:
        """`length` bytes from `position` in one piece, at most `CHUNK_BYTES` or so; fewer when the file is shorter."""
        # A claim may lie beyond what any file has, and what a system can be asked for.
        return self._read_at(position, length) if position < self.size_bytes else b""

    def _damaged(self, member: str) -> ArchiveDamaged:
        return ArchiveDamaged(msg("`{member}` differs from its checksum", member=member), where=self.name)

    def _stored(self, member: Member) -> StoredMember:
        return stored_member(member, member.name.encode("utf-8"), member.sha256, self._stamp, MANIFEST_MODE)

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
        placed = [member.offset for member in self.manifest.members if member.offset is not None]
        half_placed = placed and len(placed) != len(names)
        if contradictory or reserved or half_placed or not in_range or not all(map(is_safe_member, names)):
            raise self._contradictory()

    def _placed(self) -> tuple[Located, ...]:
        """Where each of the manifest's members lies: as it says, or around the media in archives that do not say it."""
        members = self.manifest.members
        stored = [self._stored(member) for member in members]
        last = self.ending.directory_offset - self.manifest_member.whole_length
        if members and members[0].offset is not None:
            found = [Located(each, member.offset or 0) for each, member in zip(stored, members, strict=True)]
            starts = [*(each.position for each in found), last]
            if starts[0] < 0 or any(each.end > start for each, start in zip(found, starts[1:], strict=True)):
                raise self._contradictory()
            return tuple(found)
        names = [member.name for member in members]
        behind = names.index(INVENTORY_NAME) if INVENTORY_NAME in names else len(names)
        position = last - sum(each.whole_length for each in stored[behind:])
        lengths = accumulate((each.whole_length for each in stored[:behind]), initial=0)
        before = list(map(Located, stored[:behind], lengths))
        after = map(
            Located, stored[behind:], accumulate((each.whole_length for each in stored[behind:]), initial=position)
        )
        if position < sum(each.whole_length for each in stored[:behind]):
            raise self._contradictory()
        return (*before, *after)

    def _find(self, name: str) -> Located | None:
        return next((each for each in self._own if each.member.name == name), None)

    def _contradictory(self) -> ArchiveDamaged:
        return ArchiveDamaged(msg("the manifest's list of members contradicts itself"), where=self.name)


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
