"""Content on its way into the archive: deflated where that pays, hashed as it passes. Pure work for any thread.

A large content is deflated in blocks, by several threads: the blocks end at a byte, so that one after the other they
are one deflate stream (RFC 1951, section 3.2.4: an empty stored block), as `pigz` makes them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from isal import isal_zlib

from runner.archive.compress import STREAM_END, deflate_block, deflate_whole, worth_deflating
from runner.lanes import Lanes
from runner.model.profile import Compression

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """Content that is in memory, ready for the archive. `sha256_stored` None: it is stored as it is."""

    stored: bytes
    size: int
    crc: int
    sha256: str
    sha256_stored: str | None = None


def pack(name: str, content: bytes, compression: Compression) -> Packed:
    """Hash the content, and deflate it where that pays."""
    size, crc, digest = len(content), isal_zlib.crc32(content), hashlib.sha256(content).hexdigest()
    if not worth_deflating(name, content, compression):
        return Packed(content, size, crc, digest)
    stored = deflate_whole(content, compression)
    return Packed(stored, size, crc, digest, hashlib.sha256(stored).hexdigest())


class Fingerprint:
    """Size, CRC-32 and SHA-256 of what passes, computed beside the caller and at most one chunk behind."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._hash = hashlib.sha256()
        self._pending: Callable[[], object] | None = None
        self._crc = 0
        self.size = 0

    def update(self, chunk: bytes) -> None:
        self._wait()
        self.size += len(chunk)
        self._pending = self._lanes.aside(self._take, chunk)

    def crc(self) -> int:
        self._wait()
        return self._crc

    def sha256(self) -> str:
        """In hex."""
        self._wait()
        return self._hash.hexdigest()

    def _take(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._crc = isal_zlib.crc32(chunk, self._crc)

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending()
            self._pending = None


def deflated(chunks: Iterable[bytes], compression: Compression, lanes: Lanes) -> Iterator[bytes]:
    """The chunks as one raw deflate stream, each deflated by a thread."""
    yield from lanes.ordered(partial(deflate_block, compression=compression), chunks)
    yield STREAM_END


def gzipped(chunks: Iterable[bytes], compression: Compression, lanes: Lanes) -> Iterator[bytes]:
    """The chunks as one gzip file (RFC 1952), for PostgreSQL's `.dat.gz`."""
    crc = size = 0

    def counted() -> Iterator[bytes]:
        nonlocal crc, size
        for chunk in chunks:
            crc = isal_zlib.crc32(chunk, crc)
            size += len(chunk)
            yield chunk

    yield b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, no system
    yield from deflated(counted(), compression, lanes)
    yield crc.to_bytes(4, "little") + (size & 0xFFFF_FFFF).to_bytes(4, "little")
