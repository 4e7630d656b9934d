"""Which members are worth deflating, and how. The output is ordinary deflate that every tool reads."""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Protocol

from isal import isal_zlib

from runner.model.profile import Compression

_RAW_DEFLATE = -15
_GZIP = 31
_FAST_LEVEL = 1
_AUTO_LEVEL = 2
_SMALL_LEVEL = 9
_TRIAL_BYTES = 64 << 10
_WORTH_IT = 0.95  # a trial that saves less than a twentieth is not worth the time of every later reader

COMPRESSED_TYPES = frozenset(
    {
        *(".7z", ".br", ".bz2", ".gz", ".lz4", ".rar", ".tgz", ".xz", ".zip", ".zst", ".age"),
        *(".avif", ".gif", ".heic", ".jpeg", ".jpg", ".jxl", ".png", ".webp"),
        *(".aac", ".flac", ".m4a", ".m4v", ".mkv", ".mov", ".mp3", ".mp4", ".ogg", ".opus", ".webm"),
        *(".docx", ".odp", ".ods", ".odt", ".pptx", ".xlsx"),
    }
)
"""Types whose content is compressed already; deflating them again costs time and saves nothing. PDF is not among them:
some are compressed and some are not, and a trial tells."""


class Deflater(Protocol):
    """What zlib and isal have in common."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def new_deflater(compression: Compression) -> Deflater:
    """A raw deflate stream, as zip members hold it."""
    return _new_stream(compression, _RAW_DEFLATE)


def gzip_chunks(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The same content as one gzip file (RFC 1952), for PostgreSQL's `.dat.gz`."""
    stream = _new_stream(compression, _GZIP)
    for chunk in chunks:
        if packed := stream.compress(chunk):
            yield packed
    yield stream.flush()


def worth_deflating(name: str, first_block: bytes, compression: Compression) -> bool:
    """Decide from the type and from a trial on the first block."""
    if compression is Compression.STORE or not first_block:
        return False
    if compression is not Compression.SMALL and PurePosixPath(name).suffix.lower() in COMPRESSED_TYPES:
        return False
    sample = first_block[:_TRIAL_BYTES]
    return len(isal_zlib.compress(sample, _FAST_LEVEL)) < len(sample) * _WORTH_IT


def _new_stream(compression: Compression, window: int) -> Deflater:
    if compression is Compression.SMALL:
        return zlib.compressobj(_SMALL_LEVEL, zlib.DEFLATED, window)
    level = _FAST_LEVEL if compression is Compression.FAST else _AUTO_LEVEL
    stream: Deflater = isal_zlib.compressobj(level, zlib.DEFLATED, window)
    return stream
