"""A zip that some other tool made: its members as its directory claims them, what speaks against each, its content.

No claim is trusted: not how many members there are, nor how large, nor that they lie side by side, nor their names.
Nothing is ever written by a name of theirs. Source: PKWARE APPNOTE 6.3.10, section 4.3.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import BinaryIO

from runner.archive.names import is_safe_member
from runner.archive.positions import reading_at
from runner.messages import Message, msg

_MAX_DIRECTORY = 32 << 20  # 300,000 files with names of 60 characters; `zipfile` takes ten times that in memory
_MAX_OFFSET = 1 << 62
_CHUNK_BYTES = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_FOLLOW = 0x8
_UTF8_NAMES = 0x800
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_MAX_RATIO = 1032  # what deflate can make of a byte (zlib's technical details)
_LOCAL = struct.Struct("<4s5H3L2H")
_DRIVE = re.compile(r"(media/)?[A-Za-z]:")
_1980_NS = 315_532_800 * 1_000_000_000

# What `zipfile` raises for a zip that is not one. OSError is none of them: then the disk failed, not the archive.
BROKEN = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, zlib.error, EOFError, RuntimeError)


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One entry of the directory, with its claims. `name` has forward slashes, whatever tool wrote it: a backslash is a
    separator, in every zip and on every system. `whole_name` is the name as it lies there.
    """

    name: str
    size: int
    size_stored: int
    method: int
    crc: int
    flags: int
    offset: int
    attributes: int
    made_at: tuple[int, int, int, int, int, int]
    whole_name: str

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def mtime_ns(self) -> int:
        """A zip's own times are local, and name no zone; 1980 where there was no such time."""
        try:
            return int(datetime(*self.made_at).astimezone().timestamp()) * 1_000_000_000
        except (ValueError, OverflowError, OSError):
            return _1980_NS


@dataclass(frozen=True, slots=True)
class Directory:
    """The members as they stand in it, and where it starts."""

    members: tuple[ZipMember, ...]
    start: int


class ContentBroken(Exception):
    """A member cannot be read whole. Never leaves this room."""


@contextmanager
def opened_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Raises zipfile.BadZipFile for all that is wrong with the zip, inside the block too, and OSError for the disk."""
    bounded = _Bounded(file)
    try:
        with zipfile.ZipFile(bounded) as archive:
            yield archive
    except BROKEN:
        bounded.raise_failure()
        raise zipfile.BadZipFile from None


def directory_of(archive: zipfile.ZipFile) -> Directory:
    """What the directory claims."""
    return Directory(tuple(map(_member, archive.infolist())), archive.start_dir)


def overlap(directory: Directory, size: int) -> bool:
    """Whether the members claim more bytes than the file has: a bomb, a few bytes named again and again."""
    return sum(member.size_stored for member in directory.members) > size


def faults(file: BinaryIO, directory: Directory) -> dict[int, Message]:
    """What speaks against reading each member, by its place in the directory. Raises OSError."""
    found: dict[int, Message] = {}
    ends = _next_starts(directory)
    seen: set[str] = set()
    files = {member.name for member in directory.members if not member.is_folder}
    for place, member in enumerate(directory.members):
        message = _name_fault(member) or _kind_fault(member)
        if message is None and (member.name in seen and not member.is_folder):
            message = msg("`{member}` is there twice", member=member.name)
        if message is None and not files.isdisjoint(_folders_of(member.name)):
            message = msg("`{member}` lies in something that is a file, too", member=member.name)
        if message is None:
            message = _place_fault(file, member, ends[member.offset])
        seen.add(member.name)
        if message is not None:
            found[place] = message
    return found


def content(file: BinaryIO, member: ZipMember) -> Iterator[bytes]:
    """The content, never more than `size` bytes, while others read from `file` too.

    Raises ContentBroken, at the end if size or CRC-32 differ; OSError.
    """
    start = _content_start(file, member)
    raw = _raw(file, start, member.size_stored)
    crc, size = 0, 0
    for chunk in raw if member.method == zipfile.ZIP_STORED else _inflated(raw, member.size):
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
        if size > member.size:
            raise ContentBroken
        yield chunk
    if size != member.size or crc != member.crc:
        raise ContentBroken


def shown(name: str) -> str:
    """A name for messages, with nothing in it that a terminal would obey."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def _member(info: zipfile.ZipInfo) -> ZipMember:
    return ZipMember(
        # Not `filename`, which another name in an extra field may have replaced.
        name=info.orig_filename.partition("\0")[0].replace("\\", "/"),
        size=info.file_size,
        size_stored=info.compress_size,
        method=info.compress_type,
        crc=info.CRC,
        flags=info.flag_bits,
        offset=info.header_offset,
        attributes=info.external_attr,
        made_at=info.date_time,
        whole_name=info.orig_filename,
    )


def _name_fault(member: ZipMember) -> Message | None:
    name = member.whole_name.replace("\\", "/")
    if _DRIVE.match(name) or not is_safe_member(name):
        return msg("`{member}` is not a safe name", member=shown(name))
    return None


def _kind_fault(member: ZipMember) -> Message | None:
    kind = stat.S_IFMT(member.attributes >> 16)
    if member.flags & _ENCRYPTED:
        return msg("`{member}` is encrypted, and the old scripts never did that", member=member.name)
    if member.method not in _METHODS:
        return msg("`{member}` is compressed as the old scripts never did", member=member.name)
    if kind not in (0, stat.S_IFDIR if member.is_folder else stat.S_IFREG):
        return msg("`{member}` is a link or a device, and the old scripts stored neither", member=member.name)
    return None


def _next_starts(directory: Directory) -> dict[int, int]:
    """Where whatever lies behind each member starts; a place that is claimed twice ends where it starts."""
    starts = sorted(member.offset for member in directory.members)
    following = dict(pairwise([*starts, directory.start]))
    twice = (first for first, second in pairwise(starts) if first == second)
    return {**following, **{start: start for start in twice}}


def _place_fault(file: BinaryIO, member: ZipMember, end: int) -> Message | None:
    """Sizes that cannot be, a local header that says something else, content that reaches into what lies behind."""
    is_stored = member.method == zipfile.ZIP_STORED
    can_be = member.size == member.size_stored if is_stored else member.size <= member.size_stored * _MAX_RATIO
    if not can_be or (member.is_folder and member.size):
        return msg("`{member}` claims a size that it cannot have", member=member.name)
    try:
        start = _content_start(file, member)
    except ContentBroken:
        return msg("`{member}` is something else in the directory than where it lies", member=member.name)
    if start + member.size_stored > end:
        return msg("`{member}` overlaps with another member", member=member.name)
    return None


def _content_start(file: BinaryIO, member: ZipMember) -> int:
    """Where the content starts, from a local header that agrees with the directory. Raises ContentBroken."""
    if not 0 <= member.offset <= _MAX_OFFSET:
        raise ContentBroken
    read_at = reading_at(file)
    fixed = read_at(member.offset, _LOCAL.size)
    if len(fixed) < _LOCAL.size:
        raise ContentBroken
    signature, _, flags, method, _, _, crc, size_stored, size, name_length, extra_length = _LOCAL.unpack(fixed)
    expected = member.whole_name.encode("utf-8" if member.flags & _UTF8_NAMES else "cp437", "replace")
    agrees = (signature, method, flags & _ENCRYPTED) == (b"PK\3\4", member.method, 0)
    if not agrees or read_at(member.offset + _LOCAL.size, name_length) != expected:
        raise ContentBroken
    if not flags & _SIZES_FOLLOW:
        # 0xFFFFFFFF: the size stands in a zip64 extra field, which `size` and CRC-32 of what is read stand in for.
        sizes = ((size, member.size), (size_stored, member.size_stored))
        if crc != member.crc or any(local not in (claimed, 0xFFFF_FFFF) for local, claimed in sizes):
            raise ContentBroken
    return member.offset + _LOCAL.size + int(name_length) + int(extra_length)


def _folders_of(name: str) -> Iterator[str]:
    """`a`, `a/b` of `a/b/c`; of `a/b/` too: a folder may not be a file either."""
    end = name.find("/")
    while end > 0:
        yield name[:end]
        end = name.find("/", end + 1)


def _raw(file: BinaryIO, position: int, length: int) -> Iterator[bytes]:
    read_at, end = reading_at(file), position + length
    while position < end:
        chunk = read_at(position, min(_CHUNK_BYTES, end - position))
        if not chunk:
            raise ContentBroken
        position += len(chunk)
        yield chunk


def _inflated(raw: Iterator[bytes], size: int) -> Iterator[bytes]:
    """One deflate stream, whole and with nothing behind it; stops soon after `size` bytes."""
    inflater, done = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        for chunk in raw:
            pending = chunk
            while pending and done <= size:
                if inflater.eof:
                    raise ContentBroken
                part = inflater.decompress(pending, _CHUNK_BYTES)
                done += len(part)
                pending = inflater.unconsumed_tail
                yield part
        while not inflater.eof and done <= size and (part := inflater.decompress(b"", _CHUNK_BYTES)):
            done += len(part)
            yield part
    except zlib.error:
        raise ContentBroken from None
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise ContentBroken


class _Bounded:
    """The file as `zipfile` may use it: it reads the whole directory at once, believes every offset, and takes a disk
    that fails for a file that is no zip.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise what the disk said, if it said anything."""
        if self._failure is not None:
            raise self._failure

    def read(self, size: int = -1, /) -> bytes:
        if size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile
        try:
            return self._file.read(size)
        except OSError as error:
            self._failure = error
            raise

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if abs(offset) > _MAX_OFFSET or (whence == io.SEEK_SET and offset < 0):
            raise zipfile.BadZipFile
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True
