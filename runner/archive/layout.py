"""The bytes of a ZIP archive's own structures, derived from what its members are.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 (headers) and 4.5 (extra fields); Info-ZIP's extra field 0x5455 for times.
The writer writes what these functions return, and the reader accepts nothing else: no header field is left unchecked.
"""

import stat
import struct
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from runner.model.manifest import FORMAT_VERSION, Method

STORED = 0
DEFLATED = 8

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_TIME_EXTRA = struct.Struct("<2HBl")

_MAX_16 = 0xFFFF
_MAX_32 = 0xFFFF_FFFF
MAX_NAME = 60_000  # with the extra fields, below the 65,535 bytes that a header's length fields count
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400
_FIRST_SECOND = (date.min.toordinal() - _EPOCH_DAY) * _DAY_SECONDS
_LAST_SECOND = (date.max.toordinal() - _EPOCH_DAY + 1) * _DAY_SECONDS - 1
_UTF8_NAMES = 0x0800
_MADE_BY_UNIX = 3 << 8 | 45  # so that tools apply the modes in the external attributes
_VERSION_DEFLATE = 20
_VERSION_ZIP64 = 45
_DOS_DIRECTORY = 0x10

ZIP64_FROM = _MAX_32 - (64 << 20)
"""Content of this size or more gets a 64-bit local header: deflate may make it a little larger, and it may grow."""

_COMMENT = "runner-archive/{version} manifest-size={size:012d} manifest-sha256={digest}"
_COMMENT_LENGTH = len(_COMMENT.format(version=FORMAT_VERSION, size=0, digest="0" * 64))
_COMMENT_START = b"runner-archive/"


class Stamp(NamedTuple):
    """A time as headers hold it: MS-DOS date and time (4.4.6), and the extra field 0x5455, empty if it does not fit."""

    date: int
    time: int
    extra: bytes


class Described(Protocol):
    """What the headers of a member say, but for its CRC-32 and its place. Sizes in bytes, `mode` as in stat."""

    @property
    def name_bytes(self) -> bytes: ...
    @property
    def method(self) -> Method: ...
    @property
    def size(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...
    @property
    def stamp(self) -> Stamp: ...
    @property
    def mode(self) -> int: ...
    @property
    def zip64(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of an archive says: where the central directory and the manifest lie."""

    directory_offset: int
    directory_size: int
    members: int
    manifest_size: int
    manifest_sha256: str


def offset_seconds(moment: datetime) -> int:
    """The UTC offset of an aware time."""
    return (moment.utcoffset() or timedelta(0)) // timedelta(seconds=1)


def media_stamp(mtime_ns: int, offset_seconds: int) -> Stamp:
    """The stamp of an instant as local time at the archive's own UTC offset; 1970 where no calendar holds it.

    By arithmetic alone: the same on every system, whose own calls differ before 1970 and after 3000; and quick, because
    an archive has one for each of its files.
    """
    seconds = mtime_ns // 1_000_000_000
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and _FIRST_SECOND <= seconds + offset_seconds <= _LAST_SECOND):
        seconds = 0
    day, second = divmod(seconds + offset_seconds, _DAY_SECONDS)
    day_word, time_word = _dos_date(day)
    if time_word is None:
        time_word = second // 3600 << 11 | second % 3600 // 60 << 5 | second % 60 // 2
    return Stamp(day_word, time_word, _time_extra(seconds))


def moment_stamp(moment: datetime) -> Stamp:
    """The stamp of an aware time, at its own offset."""
    day_word, time_word = _dos_date(moment.toordinal() - _EPOCH_DAY)
    if time_word is None:
        time_word = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return Stamp(day_word, time_word, _time_extra(int(moment.timestamp())))


def is_representable(name: str, size: int, size_stored: int, *, zip64: bool) -> bool:
    """Whether the headers of such a member can be written at all; asked before anything is derived from a claim."""
    largest = largest_size(zip64=zip64)
    return len(name.encode("utf-8")) <= MAX_NAME and 0 <= size <= largest and 0 <= size_stored <= largest


def largest_size(*, zip64: bool) -> int:
    """The most bytes that a member may have, content or stored."""
    return 1 << 62 if zip64 else _MAX_32 - 1


def local_length(name_bytes: int, stamp: Stamp, *, zip64: bool) -> int:
    """How long the local header of a member is."""
    return _LOCAL.size + name_bytes + len(stamp.extra) + (20 if zip64 else 0)


def central_length(name_bytes: int, stamp: Stamp, offset: int, *, zip64: bool) -> int:
    """How long the central header of a member at `offset` is."""
    length = _CENTRAL.size + name_bytes + len(stamp.extra)
    if zip64 or offset >= _MAX_32:
        length += 4 + (16 if zip64 else 0) + (8 if offset >= _MAX_32 else 0)
    return length


def headers(member: Described, crc: int, offset: int) -> tuple[bytes, bytes]:
    """The local header (4.3.7) of a member at `offset`, and its header in the central directory (4.3.12)."""
    name, stamp, size, size_stored = member.name_bytes, member.stamp, member.size, member.stored_bytes
    method = STORED if member.method == "store" else DEFLATED
    local_extra = central_extra = stamp.extra
    version = central_version = _VERSION_DEFLATE
    low_offset = offset
    if member.zip64 or offset >= _MAX_32:
        central_version = _VERSION_ZIP64
        large = b""
        if member.zip64:
            version = _VERSION_ZIP64
            large = struct.pack("<2Q", size, size_stored)
            local_extra += struct.pack("<2H", 1, len(large)) + large
            size = size_stored = _MAX_32
        if offset >= _MAX_32:
            large += struct.pack("<Q", offset)
            low_offset = _MAX_32
        central_extra += struct.pack("<2H", 1, len(large)) + large
    day, second, _ = stamp
    bits = member.mode
    attributes = bits << 16 | (_DOS_DIRECTORY if stat.S_ISDIR(bits) else 0)
    shared = (_UTF8_NAMES, method, second, day, crc, size_stored, size, len(name))
    local = _LOCAL.pack(b"PK\3\4", version, *shared, len(local_extra))
    rest = (len(central_extra), 0, 0, 0, attributes, low_offset)
    central = _CENTRAL.pack(b"PK\1\2", _MADE_BY_UNIX, central_version, *shared, *rest)
    return local + name + local_extra, central + name + central_extra


def end_records(ending: Ending) -> bytes:
    """Everything after the central directory (4.3.14 to 4.3.16), the comment that anchors the manifest included."""
    count, size, offset = ending.members, ending.directory_size, ending.directory_offset
    records = b""
    if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        position = offset + size
        records += _END64.pack(b"PK\6\6", 44, _MADE_BY_UNIX, _VERSION_ZIP64, 0, 0, count, count, size, offset)
        records += _LOCATOR64.pack(b"PK\6\7", 0, position, 1)
        count, size, offset = min(count, _MAX_16), min(size, _MAX_32), min(offset, _MAX_32)
    comment = _COMMENT.format(version=FORMAT_VERSION, size=ending.manifest_size, digest=ending.manifest_sha256)
    records += _END.pack(b"PK\5\6", 0, 0, count, count, size, offset, len(comment))
    return records + comment.encode("ascii")


END_LENGTH = _END.size + _COMMENT_LENGTH
END64_LENGTH = _END64.size + _LOCATOR64.size
TAIL_LENGTH = END_LENGTH + END64_LENGTH
"""The last bytes of an archive that `parse_ending` needs (fewer, when the archive is smaller)."""


def parse_ending(tail: bytes) -> Ending | None:
    """Read the end of an archive from its last `TAIL_LENGTH` bytes; None when it is not the end of one of ours.

    The result is a claim: it is trusted only after `end_records` of what was really found gives the same bytes.
    """
    if len(tail) < END_LENGTH or tail[-END_LENGTH:][:4] != b"PK\5\6":
        return None
    end, comment = tail[-END_LENGTH : len(tail) - _COMMENT_LENGTH], tail[-_COMMENT_LENGTH:]
    _, _, _, _, count, size, offset, _ = _END.unpack(end)
    try:
        version, size_word, digest_word = comment.decode("ascii").split(" ")
        manifest_size = int(size_word.removeprefix("manifest-size="))
        digest = digest_word.removeprefix("manifest-sha256=")
    except (UnicodeDecodeError, ValueError):
        return None
    if not version.startswith(_COMMENT_START.decode()):
        return None
    if (
        len(tail) >= TAIL_LENGTH
        and tail[-TAIL_LENGTH:][:4] == b"PK\6\6"
        and (_MAX_32 in (size, offset) or count == _MAX_16)
    ):
        record = tail[-TAIL_LENGTH : len(tail) - END_LENGTH - _LOCATOR64.size]
        _, _, _, _, _, _, _, count, size, offset = _END64.unpack(record)
    return Ending(offset, size, count, manifest_size, digest)


def claims_to_be_ours(tail: bytes) -> bool:
    """Whether these last bytes of a file look like an archive of this format, whole or damaged."""
    return _COMMENT_START in tail


@lru_cache(1024)
def _dos_date(day: int) -> tuple[int, int | None]:
    """The MS-DOS date (4.4.6) of a day since 1970, and the time where that date, from 1980 to 2107, is another one."""
    found = date.fromordinal(_EPOCH_DAY + day)
    if found.year < 1980:
        return 1 << 5 | 1, 0
    if found.year > 2107:
        return 127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29
    return (found.year - 1980) << 9 | found.month << 5 | found.day, None


def _time_extra(seconds: int) -> bytes:
    """The exact second in UTC (0x5455), so that tools on another time zone show the right time; to 2038."""
    return _TIME_EXTRA.pack(0x5455, 5, 1, seconds) if -(1 << 31) <= seconds < 1 << 31 else b""
