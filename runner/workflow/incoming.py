"""Joins `archive` to `databases` and `media`: what a restore stages, taken from an open archive."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from runner.archive.damage import Damage, survey_damage
from runner.archive.extract import Advance, dump_stream, located, unpack_dump, unpack_file
from runner.archive.foreign_zip import ZipMember
from runner.archive.inventory import raw_path, raw_target
from runner.archive.legacy import LegacyArchive, inspect_legacy, legacy_content, unpack_legacy
from runner.archive.members import Located
from runner.archive.reader import ArchiveReader
from runner.databases.base import DumpFile, DumpFolder, DumpScript
from runner.errors import ArchiveDamaged
from runner.media.entries import Incoming
from runner.messages import msg
from runner.model.manifest import MEDIA_PREFIX, InventoryEntry, PostgresqlRecord
from runner.workflow.archives import Opened
from runner.workflow.reading import reading

Unpacked = DumpFolder | DumpScript | DumpFile


def inspect_opened(opened: Opened) -> None:
    """Refuse a hostile legacy archive before anything of it is staged; one of ours was checked when it was opened.

    Raises ArchiveDamaged naming every member that is hostile, DestinationFailed.
    """
    if opened.legacy is not None:
        with reading(opened.location):
            inspect_legacy(opened.file, opened.location)


def survey_opened(opened: Opened, advance: Advance = lambda _bytes: None) -> Damage:
    """What is lost with the damage of an archive of ours. Raises ArchiveDamaged for a legacy one, DestinationFailed.

    A legacy archive says nowhere what belongs to it, so nobody could tell what was left out.
    """
    if opened.reader is None:
        raise ArchiveDamaged(
            msg("damage cannot be accepted in an archive of an older script: nothing says what it should hold"),
            where=opened.location,
            hint=msg("take out by hand what you need of it, in an empty folder"),
        )
    with reading(opened.location):
        return survey_damage(opened.reader, advance)


def unpacked_bytes(opened: Opened) -> int:
    """How much room the dump takes once it is unpacked; 0 for a script, which is streamed."""
    if opened.reader is None:
        dump = None if opened.legacy is None else opened.legacy.dump
        return 0 if dump is None or opened.legacy is None or opened.legacy.engine != "sqlite" else dump.size
    record = opened.reader.manifest.database
    if record is None or (isinstance(record, PostgresqlRecord) and record.format == "plain"):
        return 0
    return sum(each.member.size for each in opened.reader.own_members() if each.member.name.startswith(record.dump))


def unpack_database(
    opened: Opened,
    folder: Path,
    file: Path,
    skip: frozenset[str] = frozenset(),
    advance: Advance = lambda _bytes: None,
    *,
    lanes: int = 1,
) -> Unpacked | None:
    """The dump, for staging; None for an archive without a database.

    A dump in directory format is unpacked into a new folder in `folder` by `lanes` threads, a SQLite copy becomes
    `file`; a script is streamed while it is read, as raw bytes (those of a legacy one may be UTF-16). `skip` names
    damaged members that are left out. Raises ArchiveDamaged, WorkspaceFailed, DestinationFailed; after an error a part
    may be left.
    """
    if opened.reader is None:
        return _unpack_legacy_database(opened, file, advance)
    reader, record = opened.reader, opened.reader.manifest.database
    if record is None:
        return None
    if isinstance(record, PostgresqlRecord) and record.format == "plain":
        return DumpScript(record.dump, _read(opened, partial(dump_stream, reader)))
    with reading(opened.location):
        if isinstance(record, PostgresqlRecord):
            return DumpFolder(unpack_dump(reader, folder, skip, advance, lanes=lanes))
        unpack_file(reader, file, advance)
    return DumpFile(file)


def incoming_media(opened: Opened, skip: frozenset[str] = frozenset()) -> Iterator[Incoming]:
    """Every media entry, for staging, less the members in `skip`. Raises ArchiveDamaged, DestinationFailed.

    Contents are read when they are asked for, in any thread. An archive of ours hands over its hashes, and whoever
    writes the content must compare them, as `TreeWriter` does: it is not hashed here a second time.
    """
    if opened.legacy is not None:
        yield from _legacy_media(opened, opened.legacy, skip)
        return
    assert opened.reader is not None  # noqa: S101 - an opened archive is one of the two
    with reading(opened.location):
        for each in located(opened.reader):
            if each.entry is not None and each.member.name not in skip:
                yield _incoming(opened, opened.reader, each, each.entry)


def _incoming(opened: Opened, reader: ArchiveReader, each: Located, entry: InventoryEntry) -> Incoming:
    content = partial(reader.inflated, each.member, each.position + each.member.header_length)
    is_file = entry.type == "file"
    return Incoming(
        raw=raw_path(entry),
        kind=entry.type,
        name=each.member.name,
        mode=entry.mode,
        mtime_ns=entry.mtime_ns,
        uid=entry.uid,
        gid=entry.gid,
        owner=entry.owner,
        group=entry.group,
        target=raw_target(entry) if entry.type == "link" else None,
        size=entry.size if is_file else 0,
        sha256=entry.sha256,
        chunks=partial(_read, opened, content) if is_file else _nothing,
    )


def _legacy_media(opened: Opened, archive: LegacyArchive, skip: frozenset[str]) -> Iterator[Incoming]:
    """Files, and the folders that have an entry of their own, once each; whoever writes them makes the others."""
    yield Incoming(b"", "directory", MEDIA_PREFIX)
    folders = {MEDIA_PREFIX}
    for member in archive.members:
        if not member.name.startswith(MEDIA_PREFIX) or member.name in folders or member.name in skip:
            continue
        raw = member.name.removeprefix(MEDIA_PREFIX).rstrip("/").encode("utf-8")
        if member.is_folder:
            folders.add(member.name)
            yield Incoming(raw, "directory", member.name, mtime_ns=member.mtime_ns)
        else:
            yield _legacy_file(opened, member, raw)


def _legacy_file(opened: Opened, member: ZipMember, raw: bytes) -> Incoming:
    content = partial(legacy_content, opened.file, member, opened.location)
    chunks = partial(_read, opened, content)
    return Incoming(raw, "file", member.name, mtime_ns=member.mtime_ns, size=member.size, chunks=chunks)


def _unpack_legacy_database(opened: Opened, file: Path, advance: Advance) -> Unpacked | None:
    archive = opened.legacy
    if archive is None or archive.dump is None:
        return None
    if archive.engine == "postgresql":
        content = partial(legacy_content, opened.file, archive.dump, opened.location)
        return DumpScript(archive.dump.name, _read(opened, content))
    if archive.dump.size == 0:  # SQLite takes it for a database without tables
        raise ArchiveDamaged(
            msg("`{member}` is empty: the script that made the archive had failed", member=archive.dump.name),
            where=opened.location,
            hint=msg("restore another archive, or the media of this one alone with `--variant media-only`"),
        )
    with reading(opened.location):
        unpack_legacy(opened.file, archive.dump, file, opened.location, advance)
    return DumpFile(file)


def _read(opened: Opened, chunks: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """What a disk says while an archive is read is the destination's failure, whoever asked for the bytes."""
    with reading(opened.location):
        yield from chunks()


def _nothing() -> Iterator[bytes]:
    return iter(())
