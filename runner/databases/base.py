"""What every engine promises.

`open_capture` fixes one instant; everything that a `Capture` gives afterwards is of that instant, however long it takes
and whatever others write meanwhile. Only `still_referenced` looks at the present, on purpose.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from runner.errors import Finding
from runner.model.manifest import DatabaseRecord
from runner.model.profile import Reference


@dataclass(frozen=True, slots=True)
class DumpPart:
    """A part of the dump that becomes one member of the archive.

    `name` is the member's, `size_bytes` an upper bound of the content, `packing` how it is to be packed: `gzip` (the
    member is a gzip file, as PostgreSQL's own directory format has it), `deflate` (by the zip), `none`. `chunks` must
    be read to its end, where it raises DumpIncomplete if the part is not whole.
    """

    name: str
    size_bytes: int
    packing: Literal["gzip", "deflate", "none"]
    chunks: Iterator[bytes]


class Capture(Protocol):
    """One instant of a database, held open. Use as a context manager."""

    def __enter__(self) -> "Capture": ...

    def __exit__(self, *_: object) -> None: ...

    def referenced(self, reference: Reference) -> Iterator[str]:
        """Every distinct, non-empty value of the column. Bytes that are not UTF-8 come as surrogate escapes."""
        ...

    def still_referenced(self, reference: Reference, values: Collection[str]) -> frozenset[str]:
        """Which of `values` the column holds right now, in the live database and not in the captured instant."""
        ...

    def parts(self, *, gzip: bool) -> Iterator[DumpPart]:
        """Make the dump and hand over its parts in the order of the archive. Raises ToolFailed, DumpIncomplete, …

        `gzip`: an engine whose format knows compressed data files asks for them.
        A part's files may be gone once the next part is asked for.
        """
        ...

    def record(self) -> DatabaseRecord:
        """What the manifest says of the database; complete once all parts have been read."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """What a person should know of this capture; complete once all parts have been read."""
        ...
