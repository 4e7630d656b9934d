"""What every engine promises.

`open_capture` fixes one instant; everything that a `Capture` gives afterwards is of that instant, however long it takes
and whatever others write meanwhile. Only `still_referenced` looks at the present, on purpose.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from runner.errors import Finding
from runner.model.manifest import DatabaseRecord
from runner.model.marks import DatabaseMarks, Side
from runner.model.profile import DatabaseConfig, Reference


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


StillWanted = Callable[[], object]
"""Raises where the caller has given up."""


def always_wanted() -> None:
    """For a caller that never gives up."""


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

    def parts(self, *, gzip: bool, jobs: int = 1, still_wanted: StillWanted = always_wanted) -> Iterator[DumpPart]:
        """Make the dump and hand over its parts as they come. Raises ToolFailed, DumpIncomplete, …

        `gzip`: an engine whose format knows compressed data files asks for them. `jobs`: by so many connections, where
        the engine can. `still_wanted` is called often, and what it raises ends the dump.
        A part's files may be gone once the next part is asked for. May run in another thread than the rest.
        """
        ...

    def record(self) -> DatabaseRecord:
        """What the manifest says of the database; complete once all parts have been read."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """What a person should know of this capture; complete once all parts have been read."""
        ...


@dataclass(frozen=True, slots=True)
class LiveDatabase:
    """What a restore would replace, for the person who confirms it. `rows` may be an estimate of the server's.
    None: the server has never counted them.

    `newest_change` is aware, None where nobody can tell; `sessions` names who is connected, this run left out.
    `counted`: the exact rows of the tables that were asked for, as far as they are there and may be read.
    """

    exists: bool
    size_bytes: int = 0
    tables: int = 0
    rows: int | None = 0
    rows_are_exact: bool = False
    newest_change: datetime | None = None
    sessions: tuple[str, ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DumpFolder:
    """A dump in PostgreSQL's directory format, unpacked (data files plain or `.gz`)."""

    path: Path


@dataclass(frozen=True, slots=True)
class DumpScript:
    """A dump as an SQL script in UTF-8, streamed once; `name` is the member it comes from."""

    name: str
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A SQLite database file. It belongs to this run, which may change or move it."""

    path: Path


@dataclass(frozen=True, slots=True)
class KeptDatabase:
    """A PostgreSQL database that an earlier restore left on the server under another name."""

    name: str
    oid: int


DumpSource = DumpFolder | DumpScript | DumpFile | KeptDatabase
DumpKind = Literal["folder", "script", "file", "kept"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a restore is about to bring, as far as it is known before anything is unpacked.

    `record` is the manifest's, None for archives that have none (legacy). `trusted`: this state folder made it, or the
    person said `--trust-sql`. `skip_damaged`: tables that could not be read are left out, on purpose (member names).
    `kept`: the database that is taken as it is, with `kind` `kept`.
    """

    kind: DumpKind
    record: DatabaseRecord | None
    trusted: bool = False
    unpacked_bytes: int = 0
    skip_damaged: frozenset[str] = frozenset()
    kept: KeptDatabase | None = None


@dataclass(slots=True)
class Preflight:
    """Everything that speaks against a restore (`errors`, each with a hint) or that a person should know."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


Note = Callable[[DatabaseMarks], None]
"""Writes marks down durably; returns when they are on the disk. Called before the step that they are about."""

Keep = Callable[[DatabaseConfig], None]
"""Makes and proves the safety copy of the database that the configuration names. Raises RunnerError."""


class Restoration(Protocol):
    """One database on its way back. Use as a context manager: it holds connections and a lock against other machines.

    The order is `look`, `preflight`, `stage`, `compare`, `swap`, `open`, then `replaced` and `let_go`. Up to `swap` the
    live database is untouched and in use. Every method maps the driver's errors to ours and can be told that the
    server is gone (ServerUnavailable). `side`, `swap`, `swap_back`, `open`, `let_go` and `discard` work in another
    process too, from the marks alone, and may be called again after a crash in their middle.
    """

    @property
    def label(self) -> str:
        """The database for messages, with no secret."""
        ...

    @property
    def has_door(self) -> bool:
        """Whether `swap` leaves the database closed to everyone until `open`, so that the other half can follow."""
        ...

    @property
    def marks(self) -> DatabaseMarks: ...

    def __enter__(self) -> "Restoration": ...

    def __exit__(self, *_: object) -> None: ...

    def look(self, tables: Collection[str] = ()) -> LiveDatabase:
        """What is there now. The rows of `tables` (names as in the manifest) are counted one by one."""
        ...

    def preflight(self, offer: Offer) -> Preflight:
        """All that can be known to fail, without changing anything. Raises only when nothing can be asked at all."""
        ...

    def stage(self, source: DumpSource, record: DatabaseRecord | None, note: Note) -> None:
        """Load the dump beside the live database."""
        ...

    def stop(self) -> None:
        """End what `stage` or `compare` does in another thread, which soon raises Stopped there. May be called again.

        From then on both raise it.
        """
        ...

    def findings(self) -> tuple[Finding, ...]:
        """What a person should know of the staged database, though nothing of it is wrong; complete after `stage`."""
        ...

    def compare(self, record: DatabaseRecord) -> tuple[Finding, ...]:
        """What differs between the staged database and the record: rows a table, sequences, large objects."""
        ...

    def swap(self, note: Note, keep: Keep | None) -> None:
        """Put the staged database in the place of the live one, whole or not at all.

        An engine whose old content is gone afterwards makes the safety copy itself, at the moment from which no
        committed write can be lost: by `keep`, or into its marks' own path. None: no safety copy is wanted.
        """
        ...

    def swap_back(self, note: Note) -> None:
        """Undo `swap`, when the other half could not follow."""
        ...

    def open(self) -> None:
        """Let the application in again."""
        ...

    def side(self) -> Side:
        """Which state is live, from what is really there. Raises ServerUnavailable when nobody can be asked."""
        ...

    def replaced(self) -> DatabaseConfig | None:
        """After `swap`: the old database, open to readers, when it still has to be kept; None when `swap` kept it."""
        ...

    def let_go(self, note: Note) -> None:
        """Remove what `swap` replaced; its safety copy is proven, or none is wanted."""
        ...

    def discard(self, note: Note) -> None:
        """Remove what was staged, and open the live database if it is closed; the old state is the live one."""
        ...
