"""Zips byte by byte, that say whatever a test wants them to say, in the directory and where their members lie."""

import io
import struct
import zlib
from dataclasses import dataclass

UTF8 = 0x800


@dataclass(frozen=True, slots=True)
class Crafted:
    """One member. What is None is as it should be; `local_*` is said by the local header alone."""

    name: bytes
    content: bytes = b"x"
    method: int = 0
    flags: int = UTF8
    attributes: int = 0
    size: int | None = None
    crc: int | None = None
    stored: bytes | None = None
    size_stored: int | None = None
    local_name: bytes | None = None
    local_size: int | None = None
    local_flags: int | None = None
    local_method: int | None = None
    at: int | None = None
    extra: bytes = b""

    @property
    def bytes_stored(self) -> bytes:
        if self.stored is not None:
            return self.stored
        return self.content if self.method == 0 else deflated(self.content)


def deflated(content: bytes) -> bytes:
    """A raw deflate stream."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(content) + stream.flush()


def crafted(*members: Crafted) -> io.BytesIO:
    """The zip."""
    body, directory = b"", b""
    for member in members:
        stored = member.bytes_stored
        size = len(member.content) if member.size is None else member.size
        crc = zlib.crc32(member.content) if member.crc is None else member.crc
        size_stored = len(stored) if member.size_stored is None else member.size_stored
        place = len(body) if member.at is None else member.at
        local_name = member.name if member.local_name is None else member.local_name
        body += struct.pack(
            "<4s5H3L2H",
            b"PK\3\4",
            20,
            member.flags if member.local_flags is None else member.local_flags,
            member.method if member.local_method is None else member.local_method,
            0x5821,
            0x5C28,
            crc,
            size_stored,
            size if member.local_size is None else member.local_size,
            len(local_name),
            0,
        )
        body += local_name + stored
        directory += struct.pack(
            "<4s6H3L5H2L",
            b"PK\1\2",
            3 << 8 | 20,
            20,
            member.flags,
            member.method,
            0x5821,
            0x5C28,
            crc,
            size_stored,
            size,
            len(member.name),
            len(member.extra),
            0,
            0,
            0,
            member.attributes,
            place,
        )
        directory += member.name + member.extra
    count = len(members)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return io.BytesIO(body + directory + end)
