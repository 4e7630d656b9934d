"""Takes content out of an archive of ours: what the manifest names, and never a path that the zip proposes.

Every stream is compared with its checksum; damage shows at its end at the latest, as ArchiveDamaged. Errors of the disk
that the archive lies on stay OSError, those of the place that is written to become WorkspaceFailed.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.archive.inventory import InventoryInvalid
from runner.archive.members import Located
from runner.archive.reader import ArchiveReader
from runner.durable import create_private, flush_file, flush_folder
from runner.errors import ArchiveDamaged, WorkspaceFailed
from runner.lanes import Lanes
from runner.messages import msg
from runner.model.manifest import INVENTORY_NAME, RESTORE_NAME, PostgresqlRecord

TOC_NAME = "toc.dat"

# What pg_dump's directory format holds (src/bin/pg_dump/pg_backup_directory.c), compressed or not, and nothing else.
_DUMP_FILE = re.compile(r"(?P<stem>toc\.dat|blobs(_\d+)?\.toc|(blob_)?\d+\.dat)(\.gz|\.lz4|\.zst)?", re.ASCII)

_BEHIND = frozenset({INVENTORY_NAME, RESTORE_NAME})

Advance = Callable[[int], object]


def located(reader: ArchiveReader) -> Iterator[Located]:
    """Every member in the order of the archive, the manifest last. Raises ArchiveDamaged."""
    try:
        yield from reader.walk()
    except InventoryInvalid as error:
        raise ArchiveDamaged(
            msg("the inventory cannot be read: {reason}", reason=error.reason), where=reader.name
        ) from None


def dump_members(reader: ArchiveReader) -> tuple[Located, ...]:
    """The members of the dump, which the manifest lists first; empty for an archive without a database.

    Raises ArchiveDamaged unless they are exactly what such a dump consists of, each directly in the dump's folder.
    """
    record = reader.manifest.database
    members = reader.own_members()
    count = next((at for at, each in enumerate(members) if each.member.name in _BEHIND), len(members))
    dump, behind = members[:count], members[count:]
    names = [each.member.name for each in dump]
    if isinstance(record, PostgresqlRecord) and record.format == "directory":
        is_whole = _is_directory_dump(record, names)
    else:
        is_whole = names == ([] if record is None else [record.dump])
    is_named = record is None or _is_plain_name(record.dump)
    if not (is_whole and is_named and _BEHIND.issuperset(each.member.name for each in behind)):
        raise ArchiveDamaged(msg("the manifest's list of members is not that of its dump"), where=reader.name)
    return dump


def unpack_dump(
    reader: ArchiveReader,
    folder: Path,
    skip: frozenset[str] = frozenset(),
    advance: Advance = lambda _bytes: None,
    *,
    lanes: int = 1,
) -> Path:
    """Unpack a PostgreSQL dump in directory format into a new folder in `folder`, less the members in `skip`.

    Files lie as pg_dump made them (data files possibly `.gz`), mode 0600. They are not flushed: it is a copy of what
    the archive holds, for one load, and after a crash nobody looks at it again. `advance` is told of bytes written, in
    any of the `lanes` threads. After an error a part of it is left, for the caller who owns `folder`. Raises
    ArchiveDamaged (of the first member that is, in their order), WorkspaceFailed.
    """
    members = dump_members(reader)
    record = reader.manifest.database
    assert isinstance(record, PostgresqlRecord)  # noqa: S101 - the caller has matched on it
    target = folder / record.dump
    with _writing(target):
        target.mkdir(mode=0o700)

    with Lanes(lanes) as threads:

        def told(size_bytes: int) -> None:
            threads.stop.check()
            advance(size_bytes)

        def write(each: Located) -> None:
            name = each.member.name.removeprefix(f"{record.dump}/")
            _write_file(target / name, reader.content(each.member, each.position), told, flush=False)

        for _ in threads.ordered(write, (each for each in members if each.member.name not in skip)):
            pass
    return target


def unpack_file(reader: ArchiveReader, path: Path, advance: Advance = lambda _bytes: None) -> None:
    """Unpack a dump that is one file (SQLite) as `path`, which must not be there: mode 0600, flushed with its name.

    After an error a part of it is left. Raises ArchiveDamaged, WorkspaceFailed.
    """
    write_new_file(path, dump_stream(reader), advance)


def dump_stream(reader: ArchiveReader) -> Iterator[bytes]:
    """The content of a dump that is one member (SQL script, SQLite). Raises ArchiveDamaged, at its end if need be."""
    (only,) = dump_members(reader)
    return reader.content(only.member, only.position)


def write_new_file(path: Path, chunks: Iterable[bytes], advance: Advance = lambda _bytes: None) -> None:
    """Write `path`, which must not be there: mode 0600, flushed with its name. Raises WorkspaceFailed."""
    _write_file(path, chunks, advance, flush=True)
    with _writing(path):
        flush_folder(path.parent)


def _write_file(path: Path, chunks: Iterable[bytes], advance: Advance, *, flush: bool) -> None:
    # What reading raises passes through as it is: only the writing is guarded.
    with _writing(path):
        file = create_private(path)
    try:
        for chunk in chunks:
            with _writing(path):
                file.write(chunk)
            advance(len(chunk))
        with _writing(path):
            file.flush()
            if flush:
                flush_file(file)
    finally:
        with _writing(path):
            file.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceFailed(
            msg("cannot be written: {reason}", reason=error.strerror or str(error)),
            where=str(path),
            hint=msg("free some space there, and check that the folder may be written to; then try again"),
        ) from None


def _is_directory_dump(record: PostgresqlRecord, names: list[str]) -> bool:
    """Whether these are the files of one dump, none of them twice (plain and compressed), and no table is missing."""
    prefix = f"{record.dump}/"
    matches = [_DUMP_FILE.fullmatch(name.removeprefix(prefix)) for name in names if name.startswith(prefix)]
    stems = {match["stem"] for match in matches if match is not None}
    tables = {table.member for table in record.tables if table.member is not None}
    return len(stems) == len(names) and TOC_NAME in stems and tables.issubset(names)


def _is_plain_name(name: str) -> bool:
    """Whether it is one name, in no folder, and no system takes it for anything else."""
    return re.fullmatch(r"db_[\w.-]+", name, re.ASCII) is not None
