"""Which members are worth deflating, and how. The output is ordinary deflate that every tool reads."""

import zlib
from typing import Protocol

from isal import isal_zlib

from runner.model.profile import Compression

_RAW_DEFLATE = -15
_FAST_LEVEL = 1
_AUTO_LEVEL = 2
_SMALL_LEVEL = 9
_TRIAL_BYTES = 16 << 10
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

    def flush(self, mode: int = ..., /) -> bytes: ...


def deflate_whole(content: bytes, compression: Compression) -> bytes:
    """The content as one raw deflate stream, as zip members hold it."""
    stream = _new_stream(compression)
    return stream.compress(content) + stream.flush()


def deflate_block(content: bytes, compression: Compression) -> bytes:
    """A part of a raw deflate stream that ends at a byte and needs nothing that was before it."""
    stream = _new_stream(compression)
    return stream.compress(content) + stream.flush(zlib.Z_SYNC_FLUSH)


STREAM_END = b"\x03\0"
"""A last block, with nothing in it."""


def is_stored_type(name: str, compression: Compression) -> bool:
    """Whether the content is stored as it is, whatever it holds."""
    if compression is Compression.STORE:
        return True
    return compression is not Compression.SMALL and _suffix(name) in COMPRESSED_TYPES


def worth_deflating(name: str, first_block: bytes, compression: Compression) -> bool:
    """Decide from the type and from a trial on the first block."""
    if not first_block or is_stored_type(name, compression):
        return False
    middle = max(0, (len(first_block) - _TRIAL_BYTES) // 2)  # a PDF begins with text, whatever is in it
    sample = first_block[middle : middle + _TRIAL_BYTES]
    return len(isal_zlib.compress(sample, _FAST_LEVEL)) < len(sample) * _WORTH_IT


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and not stem.endswith("/") else ""


def _new_stream(compression: Compression) -> Deflater:
    if compression is Compression.SMALL:
        return zlib.compressobj(_SMALL_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    level = _FAST_LEVEL if compression is Compression.FAST else _AUTO_LEVEL
    stream: Deflater = isal_zlib.compressobj(level, zlib.DEFLATED, _RAW_DEFLATE)
    return stream
