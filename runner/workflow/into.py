"""Where the two halves of a backup go, and how the parts of a dump are packed on their way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.archive.packing import gzipped
from runner.archive.writer import ArchiveWriter
from runner.databases.base import DumpPart
from runner.lanes import Lanes
from runner.model.profile import Compression


@dataclass(frozen=True, slots=True)
class Into:
    """Where the two halves go."""

    writer: ArchiveWriter
    lanes: Lanes
    compression: Compression

    def add_part(self, part: DumpPart, advance: Callable[[int], object]) -> None:
        """`advance` is told of the content's bytes as they are read."""
        chunks = _told(part.chunks, advance)
        if part.packing == "gzip":
            packed = gzipped(chunks, self.compression, self.lanes)
            self.writer.add_member(part.name, packed, part.size_bytes, deflate=False)
        else:
            self.writer.add_member(part.name, chunks, part.size_bytes, deflate=part.packing == "deflate")


def _told(chunks: Iterator[bytes], advance: Callable[[int], object]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))
