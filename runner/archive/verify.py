"""Verification: walks archive, inventory and central directory side by side and lists every place that differs."""

import hashlib
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from isal import isal_zlib

from runner.archive import layout
from runner.archive.inventory import InventoryInvalid
from runner.archive.layout import Ending
from runner.archive.members import StoredMember
from runner.archive.reader import ArchiveReader
from runner.errors import ArchiveDamaged, Finding
from runner.messages import Message, msg
from runner.model.manifest import MEDIA_PREFIX

MAX_FINDINGS = 1000
"""A damaged archive may be damaged everywhere; the list of places stops here, and says so."""


@dataclass(slots=True)
class Verification:
    """What a verification has found so far."""

    members: int = 0
    bytes: int = 0
    damage: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.damage


def verify_archive(reader: ArchiveReader, advance: Callable[[int], object] = lambda _bytes: None) -> Verification:
    """Re-read the whole archive; `advance` is told of each part done, in bytes. Raises OSError only."""
    walk = _Walk(reader, advance)
    walk.run()
    return walk.result


class _Walk:
    """One pass over an archive. `_position` is where the next member must lie, `_directory` where its entry must."""

    def __init__(self, reader: ArchiveReader, advance: Callable[[int], object]) -> None:
        self._reader = reader
        self._advance = advance
        self._position = 0
        self._directory = _Cursor(reader, reader.ending.directory_offset)
        self._counts: Counter[int] = Counter()
        self._media_bytes = 0
        self.result = Verification()

    def run(self) -> None:
        try:
            for each in self._reader.walk():
                self._check(each.member)
            self._check_ending()
        except InventoryInvalid as error:
            self._damage(msg("the inventory cannot be read: {reason}", reason=error.reason))
        except ArchiveDamaged as error:
            self._damage(error.message)
        except _Enough:
            self.result.damage.append(
                self._finding(msg("more than {count} places; the rest was not read", count=MAX_FINDINGS))
            )

    def _check(self, member: StoredMember) -> None:
        start, length = self._position, member.header_length
        found_header = b"".join(self._reader.raw(start, length))
        crc = self._check_content(member, start + length)
        if crc is not None:
            header = member.header(crc)
            if found_header != layout.local_header(header):
                self._damage(msg("the header of `{member}` is not the one it must have", member=member.name))
            expected = layout.central_header(header, start)
            if self._directory.take(len(expected)) != expected:
                self._damage(msg("the directory entry of `{member}` is not the one it must have", member=member.name))
        else:
            self._directory.take(len(layout.central_header(member.header(0), start)))
        if member.name.startswith(MEDIA_PREFIX):
            kind = stat.S_IFMT(member.mode)
            self._counts[kind] += 1
            self._media_bytes += member.size if kind == stat.S_IFREG else 0
        self._position = start + member.whole_length
        self.result.members += 1
        self.result.bytes += member.whole_length
        self._advance(member.whole_length)

    def _check_content(self, member: StoredMember, position: int) -> int | None:
        """The CRC-32 of the content, None when the content is not what it must be."""
        raw_hash = hashlib.sha256()
        content_hash, size, crc = hashlib.sha256(), 0, 0
        sink = None if member.sha256_stored is None else raw_hash.update
        try:
            for chunk in self._reader.inflated(member, position, sink):
                content_hash.update(chunk)
                crc = isal_zlib.crc32(chunk, crc)
                size += len(chunk)
        except ArchiveDamaged as error:
            self._damage(error.message)
            return None
        stored_differs = member.sha256_stored is not None and raw_hash.hexdigest() != member.sha256_stored
        if size != member.size or content_hash.hexdigest() != member.sha256 or stored_differs:
            self._damage(msg("`{member}` differs from its checksum", member=member.name))
            return None
        return crc

    def _check_ending(self) -> None:
        ending = self._reader.ending
        expected = Ending(
            self._position,
            self._directory.position - ending.directory_offset,
            self.result.members,
            ending.manifest_size,
            ending.manifest_sha256,
        )
        records = layout.end_records(expected)
        found = b"".join(self._reader.raw(self._directory.position, len(records) + 1))
        if found != records or self._position != ending.directory_offset:
            self._damage(msg("the end of the archive is not the one it must have"))
        self._check_counts()

    def _check_counts(self) -> None:
        """What the manifest says of the media as a whole must be what the inventory holds."""
        media = self._reader.manifest.media
        counted = self._counts[stat.S_IFREG], self._counts[stat.S_IFDIR], self._counts[stat.S_IFLNK], self._media_bytes
        if media is not None and counted != (media.files, media.directories, media.links, media.bytes):
            self._damage(msg("the manifest counts other media than the inventory holds"))

    def _damage(self, message: Message) -> None:
        if len(self.result.damage) >= MAX_FINDINGS:
            raise _Enough
        self.result.damage.append(self._finding(message))

    def _finding(self, message: Message) -> Finding:
        return Finding(ArchiveDamaged.code, message, self._reader.name)


class _Enough(Exception):
    """The list of damage is full. Never leaves this module."""


class _Cursor:
    """Reads the central directory in blocks while the members are read elsewhere in the same file."""

    _BLOCK = 256 << 10

    def __init__(self, reader: ArchiveReader, position: int) -> None:
        self._reader = reader
        self._buffer = b""
        self._start = 0
        self.position = position
        self._next = position

    def take(self, length: int) -> bytes:
        """The next `length` bytes; fewer at the end of the file."""
        while len(self._buffer) - self._start < length:
            block = b"".join(self._blocks())
            if not block:
                break
            self._buffer, self._start = self._buffer[self._start :] + block, 0
            self._next += len(block)
        taken = self._buffer[self._start : self._start + length]
        self._start += length
        self.position += length
        return taken

    def _blocks(self) -> Iterator[bytes]:
        return self._reader.raw(self._next, self._BLOCK)
