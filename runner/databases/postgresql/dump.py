"""Runs pg_dump into its directory format and reads that back: which file is which table, how many rows, is it whole.

Source: PostgreSQL's documentation of pg_dump, pg_restore and COPY's text format, in which each row is one line and the
line `\\.` ends the data. pg_dump writes that line last, so a data file without it is not whole.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.databases.postgresql.tools import Tools
from runner.durable import make_private_folder
from runner.errors import DumpIncomplete, ToolFailed
from runner.messages import msg
from runner.model.manifest import SequenceRecord
from runner.model.profile import PostgresqlConfig
from runner.process import Environment, run, running

CHUNK_BYTES = 1 << 20
READ_WHILE_RUNNING = os.name != "nt"
"""Whether data files are read and removed while pg_dump still runs. Windows lets nobody remove what is open."""

_LOCK_WAIT_MILLISECONDS = 300_000
_LOOK_SECONDS = 0.02
_END_OF_DATA = b"\\.\n\n\n"
_DATA_FILE = re.compile(r"\d+\.dat")
_ENTRY = re.compile(r"^(\d+); (\d+) (\d+) (TABLE DATA|SEQUENCE SET|BLOBS) ")
_SETVAL = re.compile(r"^SELECT pg_catalog\.setval\( ?(E?)'((?:[^']|'')*)', (-?\d+), (true|false)\);$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TableData:
    """A table's entry in the dump: its data file and the table's oid on the dumped server."""

    dump_id: int
    table_oid: int

    @property
    def file_name(self) -> str:
        return f"{self.dump_id}.dat"


@dataclass(frozen=True, slots=True)
class DirectoryDump:
    """A finished dump in directory format, and what its own table of contents says it holds."""

    folder: Path
    tables: tuple[TableData, ...]
    sequences: tuple[SequenceRecord, ...]

    def files(self) -> list[Path]:
        """All its files, in a stable order: `toc.dat` first, then data by number, then large objects."""
        return sorted(self.folder.iterdir(), key=lambda path: (path.name != "toc.dat", _number(path.name), path.name))


@dataclass(frozen=True, slots=True)
class Dumping:
    """How a dump is made: the captured instant, into the new folder `folder`, by so many connections."""

    tools: Tools
    environment: Environment
    snapshot: str
    folder: Path
    jobs: int = 1


# What pg_dump's second and further connections say, which do not wait behind somebody who waits for a table.
_NOT_LOCKED = "could not obtain lock on relation"


def finished_files(
    config: PostgresqlConfig, dumping: Dumping, told: Callable[[str], object], still_wanted: Callable[[], object]
) -> Iterator[Path]:
    """Run pg_dump to its end; each table's data file is handed out as soon as it is whole, for the caller to remove.

    The last files (the table of contents, large objects, all that was not handed out) are in the folder afterwards.
    `told` gets pg_dump's warnings; `still_wanted` is called often, and what it raises ends pg_dump. Raises ToolFailed.
    """
    make_private_folder(dumping.folder.parent)
    arguments = [
        dumping.tools.path("pg_dump"),
        "--format=directory",
        "--compress=0",
        "--no-password",
        "--no-sync",  # the archive is what is flushed
        f"--jobs={dumping.jobs}",
        f"--snapshot={dumping.snapshot}",
        f"--lock-wait-timeout={_LOCK_WAIT_MILLISECONDS}",
        f"--file={dumping.folder}",
        *(f"--exclude-table-data={pattern}" for pattern in config.exclude_table_data),
    ]
    with running(arguments, dumping.environment) as child:
        while not child.has_ended(_LOOK_SECONDS):
            still_wanted()
            if READ_WHILE_RUNNING and config.format == "directory":
                yield from _whole_files(dumping.folder)
        still_wanted()
        try:
            child.wait()
        except ToolFailed as error:
            if dumping.jobs == 1 or _NOT_LOCKED not in str(error):
                raise
            hint = msg("somebody waits to change a table (a migration, TRUNCATE): try again later, or write `jobs: 1`")
            raise ToolFailed(error.message, where=error.where, hint=hint) from None
        if words := child.last_words():
            told(words)


def _whole_files(folder: Path) -> list[Path]:
    """The data files of tables that pg_dump has written to their end."""
    try:
        return sorted(path for path in folder.iterdir() if _DATA_FILE.fullmatch(path.name) and _is_whole(path))
    except FileNotFoundError:
        return []  # it has not made the folder yet


def _is_whole(path: Path) -> bool:
    """Whether it ends as pg_dump ends the data of a table. No row is this line: a backslash in a row is doubled."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_END_OF_DATA) - 1))
        end = file.read()
    return end == _END_OF_DATA or end == b"\n" + _END_OF_DATA


def read_contents(tools: Tools, folder: Path, taken: Collection[str]) -> DirectoryDump:
    """What a finished dump holds; `taken` names the data files that are not in the folder any more.

    By pg_restore itself: if that cannot read the table of contents, nobody can. Raises ToolFailed, DumpIncomplete.
    """
    listing = run([tools.path("pg_restore"), "--list", str(folder)]).decode("utf-8", "surrogateescape")
    tables: list[TableData] = []
    sequence_lines: list[str] = []
    needed: list[str] = []
    for line in listing.splitlines():
        entry = _ENTRY.match(line)
        if entry is None:
            continue
        if entry[4] == "TABLE DATA":
            tables.append(TableData(int(entry[1]), int(entry[3])))
            needed.append(tables[-1].file_name)
        elif entry[4] == "BLOBS":
            needed += _large_object_files(folder, int(entry[1]))
        elif entry[4] == "SEQUENCE SET":
            sequence_lines.append(line)
    missing = [name for name in needed if name not in taken and not (folder / name).is_file()]
    if missing:
        raise DumpIncomplete(
            msg("pg_dump ended well, but left out the data file `{file}`", file=missing[0]),
            where=str(folder),
            hint=msg("run the backup again; if it stays, check the disk and the PostgreSQL client"),
        )
    return DirectoryDump(folder, tuple(tables), _read_sequences(tools, folder, sequence_lines))


def _large_object_files(folder: Path, dump_id: int) -> list[str]:
    """An entry's own table of contents (one for all entries, up to PostgreSQL 16) and the data files that it names."""
    contents = folder / f"blobs_{dump_id}.toc"
    if not contents.is_file():
        contents = folder / "blobs.toc"
    lines = contents.read_text("utf-8", "replace").splitlines() if contents.is_file() else []
    return [contents.name, *(line.partition(" ")[2] for line in lines)]


def _read_sequences(tools: Tools, folder: Path, lines: list[str]) -> tuple[SequenceRecord, ...]:
    """The positions of the sequences, as pg_restore would set them."""
    if not lines:
        return ()
    chosen = folder.with_name(f"{folder.name}.sequences")
    chosen.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    try:
        script = run([tools.path("pg_restore"), f"--use-list={chosen}", "--file=-", str(folder)])
    finally:
        chosen.unlink()
    found = tuple(
        SequenceRecord(
            name=_unquote(match[2], escaped=bool(match[1])), last_value=int(match[3]), is_called=match[4] == "true"
        )
        for match in _SETVAL.finditer(script.decode("utf-8", "replace"))
    )
    if len(found) != len(lines):
        raise DumpIncomplete(
            msg("the dump lists {listed} sequences and sets {found}", listed=len(lines), found=len(found)),
            where=str(folder),
        )
    return found


def count_rows(path: Path, counted: Callable[[int], object]) -> Iterator[bytes]:
    """Stream a data file; at its end `counted` gets the number of rows. Raises DumpIncomplete when it is cut short."""
    lines, tail = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            lines += chunk.count(b"\n")
            tail = (tail + chunk)[-64:]
            yield chunk
    data = tail.rstrip(b"\n")
    breaks_after = len(tail) - len(data)
    if not breaks_after or not (data == b"\\." or data.endswith(b"\n\\.")):
        raise DumpIncomplete(
            msg("the data file `{file}` does not end as a whole one does", file=path.name),
            where=str(path.parent),
            hint=msg("run the backup again; if it stays, check the disk and the PostgreSQL client"),
        )
    counted(lines - breaks_after)


def stream_file(path: Path) -> Iterator[bytes]:
    """A file's content in chunks."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _number(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 0


def _unquote(literal: str, *, escaped: bool) -> str:
    text = literal.replace("''", "'")
    return text.replace("\\\\", "\\") if escaped else text
