"""Verification: walks archive, inventory and central directory side by side and lists every place that differs.

Neighbouring small members are read and checked together, a batch in each of several threads; large ones are streamed.
What a batch is depends on the archive alone, so that the number of threads changes nothing that is found.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from isal import isal_zlib

from runner.archive import layout
from runner.archive.inventory import InventoryInvalid
from runner.archive.layout import Ending
from runner.archive.members import Located, StoredMember
from runner.archive.reader import ArchiveReader
from runner.errors import ArchiveDamaged, Finding
from runner.lanes import Lanes
from runner.messages import Message, msg

MAX_FINDINGS = 1000
"""A damaged archive may be damaged everywhere; the list of places stops here, and says so."""

_SMALL_BYTES = 1 << 20
"""What a member of a batch may take, in the archive and as content: both are in memory at once."""

_BATCH_BYTES = 2 << 20
_BATCH_MEMBERS = 512

_BROKEN: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub makes an instance of the class


@dataclass(slots=True)
class Verification:
    """What a verification has found so far."""

    members: int = 0
    bytes: int = 0
    damage: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.damage


def verify_archive(
    reader: ArchiveReader, advance: Callable[[int], object] = lambda _bytes: None, lanes: int = 1
) -> Verification:
    """Re-read the whole archive in `lanes` threads. Raises OSError only.

    `advance` is told of each part done, in bytes, by the caller's thread.
    """
    walk = _Walk(reader, advance)
    walk.run(lanes)
    return walk.result


class _Batch(NamedTuple):
    """Members that lie side by side, and where their part of the central directory begins."""

    members: tuple[Located, ...]
    length: int
    directory: int
    directory_length: int

    @property
    def position(self) -> int:
        return self.members[0].position


class _Walk:
    """One pass over an archive. `_position` is where the next member must lie, `_directory` where its entry must."""

    def __init__(self, reader: ArchiveReader, advance: Callable[[int], object]) -> None:
        self._reader = reader
        self._advance = advance
        self._position = 0
        self._directory = reader.ending.directory_offset
        self._counts: Counter[str] = Counter()
        self._media_bytes = 0
        self._broken: Message | None = None
        self.result = Verification()

    def run(self, lanes: int) -> None:
        try:
            with Lanes(lanes) as threads:
                check = _Check(self._reader, threads.stop.check)
                for batch, found in threads.ordered(check, self._batches()):
                    self.result.members += len(batch.members)
                    self.result.bytes += batch.length
                    for message in found:
                        self._damage(message)
                    self._advance(batch.length)
            if self._broken is None:
                self._check_ending()
            else:
                self._damage(self._broken)
        except _Enough:
            self.result.damage.append(
                self._finding(msg("more than {count} places; the rest was not read", count=MAX_FINDINGS))
            )

    def _batches(self) -> Iterator[_Batch]:
        """All members, batch by batch. What ends the walk before its end is left in `_broken`."""
        members: list[Located] = []
        length = directory_length = 0
        counts = self._counts
        try:
            for each in self._reader.walk():
                member, position, entry = each
                if entry is not None:
                    counts[entry.type] += 1
                    if entry.type == "file":
                        self._media_bytes += member.size
                whole, entry_length = member.whole_length, member.directory_length(position)
                fits = whole <= _SMALL_BYTES and member.size <= _SMALL_BYTES
                is_full = length + directory_length + whole + entry_length > _BATCH_BYTES
                if members and (is_full or not fits or len(members) >= _BATCH_MEMBERS):
                    yield self._taken(members, length, directory_length)
                    members, length, directory_length = [], 0, 0
                members.append(each)
                length += whole
                directory_length += entry_length
                if not fits:
                    yield self._taken(members, length, directory_length)
                    members, length, directory_length = [], 0, 0
        except InventoryInvalid as error:
            self._broken = msg("the inventory cannot be read: {reason}", reason=error.reason)
        except ArchiveDamaged as error:
            self._broken = error.message
        if members:
            yield self._taken(members, length, directory_length)

    def _taken(self, members: list[Located], length: int, directory_length: int) -> _Batch:
        batch = _Batch(tuple(members), length, self._directory, directory_length)
        self._position += length
        self._directory += directory_length
        return batch

    def _check_ending(self) -> None:
        ending = self._reader.ending
        expected = Ending(
            self._position,
            self._directory - ending.directory_offset,
            self.result.members,
            ending.manifest_size,
            ending.manifest_sha256,
        )
        records = layout.end_records(expected)
        found = b"".join(self._reader.raw(self._directory, len(records) + 1))
        if found != records or self._position != ending.directory_offset:
            self._damage(msg("the end of the archive is not the one it must have"))
        self._check_counts()

    def _check_counts(self) -> None:
        """What the manifest says of the media as a whole must be what the inventory holds."""
        media = self._reader.manifest.media
        counted = self._counts["file"], self._counts["directory"], self._counts["link"], self._media_bytes
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


class _Check:
    """Compares one batch with what is there. Several threads may call it at once."""

    def __init__(self, reader: ArchiveReader, still_wanted: Callable[[], object] = lambda: None) -> None:
        """`still_wanted` is called often while a large member is read; what it raises ends that."""
        self._reader = reader
        self._still_wanted = still_wanted

    def __call__(self, batch: _Batch) -> tuple[_Batch, list[Message]]:
        """The batch again, and what is wrong in it, in order."""
        directory = self._reader.read_at(batch.directory, batch.directory_length)
        first = batch.members[0]
        if len(batch.members) == 1 and max(batch.length, first.member.size) > _SMALL_BYTES:
            found = self._reader.read_at(first.position, first.member.header_length)
            return batch, _differences(first, self._streamed_crc(first), found, directory)
        content = self._reader.read_at(batch.position, batch.length)
        view = memoryview(content)
        messages: list[Message] = []
        seen, start = 0, 0
        for each in batch.members:
            member, position, _ = each
            end = start + member.header_length
            after = end + member.stored_bytes
            entry_length = member.directory_length(position)
            crc = _crc_in_memory(member, view[end:after])
            messages += _differences(each, crc, content[start:end], directory[seen : seen + entry_length])
            seen += entry_length
            start = after
        return batch, messages

    def _streamed_crc(self, each: Located) -> int | None:
        """The CRC-32 of the content, None when the content is not what it must be."""
        member, position, _ = each
        raw_hash = hashlib.sha256()
        content_hash, size, crc = hashlib.sha256(), 0, 0
        sink = None if member.sha256_stored is None else raw_hash.update
        try:
            for chunk in self._reader.inflated(member, position + member.header_length, sink):
                self._still_wanted()
                content_hash.update(chunk)
                crc = isal_zlib.crc32(chunk, crc)
                size += len(chunk)
        except ArchiveDamaged:
            return None
        stored_differs = member.sha256_stored is not None and raw_hash.hexdigest() != member.sha256_stored
        if size != member.size or content_hash.hexdigest() != member.sha256 or stored_differs:
            return None
        return crc


def _crc_in_memory(member: StoredMember, stored: memoryview) -> int | None:
    """As `_Check._streamed_crc`, of a small member, whose bytes as stored are `stored` or the beginning of them."""
    content: bytes | memoryview | None = stored
    if member.method != "store":
        is_as_stored = hashlib.sha256(stored).hexdigest() == member.sha256_stored
        content = _inflated(stored, member.size) if is_as_stored else None
    if content is None or len(content) != member.size or hashlib.sha256(content).hexdigest() != member.sha256:
        return None
    crc: int = isal_zlib.crc32(content)
    return crc


def _inflated(stored: memoryview, size: int) -> bytes | None:
    """The content of a deflate stream, at most one byte more than `size`; None for one that is not whole."""
    inflater = isal_zlib.decompressobj(-15)
    try:
        content: bytes = inflater.decompress(stored, size + 1)
    except _BROKEN:
        return None
    return content if inflater.eof and not inflater.unused_data else None


def _differences(each: Located, crc: int | None, header: bytes, entry: bytes) -> list[Message]:
    """What is wrong with a member: its content, its header, its entry in the central directory.

    Headers hold the CRC-32, so nothing is known of them where the content is not what it must be.
    """
    member, position, _ = each
    if crc is None:
        return [msg("`{member}` differs from its checksum", member=member.name)]
    local, central = member.headers(crc, position)
    messages: list[Message] = []
    if header != local:
        messages.append(msg("the header of `{member}` is not the one it must have", member=member.name))
    if entry != central:
        messages.append(msg("the directory entry of `{member}` is not the one it must have", member=member.name))
    return messages
