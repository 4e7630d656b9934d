"""What of a damaged archive can still be restored, and what is lost, for `--accept-damage`.

Only content counts here: a header that is wrong keeps other tools from a member, not this reader, which knows from the
manifest where each one lies. An archive whose manifest cannot be read is none that anything can be said of.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from runner.archive.extract import TOC_NAME, dump_members, located
from runner.archive.members import Located
from runner.archive.reader import ArchiveReader
from runner.errors import ArchiveDamaged, Finding
from runner.messages import Message, msg
from runner.model.manifest import DatabaseRecord, PostgresqlRecord


class Condition(StrEnum):
    """How much of one half can be restored. NONE: the archive has no such half."""

    NONE = "none"
    WHOLE = "whole"
    PARTLY = "partly"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Damage:
    """`skip`: the names of members that cannot be read and are to be left out; `lost`: what that costs, one by one.

    A half that is LOST cannot be restored at all; `skip` says nothing of it.
    """

    database: Condition
    media: Condition
    skip: frozenset[str]
    lost: tuple[Finding, ...]


def survey_damage(reader: ArchiveReader, advance: Callable[[int], object] = lambda _bytes: None) -> Damage:
    """Read everything that a restore would read, and say what of it is not as it was written.

    `advance` is told of each member done, in bytes as stored. Never raises for damage, only OSError.
    """
    database, skip, lost = _survey_dump(reader, advance)
    media, media_skip, media_lost = _survey_media(reader, advance)
    return Damage(database, media, skip | media_skip, (*lost, *media_lost))


_Half = tuple[Condition, frozenset[str], tuple[Finding, ...]]


def _survey_dump(reader: ArchiveReader, advance: Callable[[int], object]) -> _Half:
    record = reader.manifest.database
    if record is None:
        return Condition.NONE, frozenset(), ()
    try:
        members = dump_members(reader)
    except ArchiveDamaged as error:
        return Condition.LOST, frozenset(), (_finding(reader, error.message),)
    broken = frozenset(each.member.name for each in members if not _is_whole(reader, each, advance))
    if not broken:
        return Condition.WHOLE, broken, ()
    if not isinstance(record, PostgresqlRecord) or record.format == "plain" or f"{record.dump}/{TOC_NAME}" in broken:
        message = msg("the database is lost: `{member}` cannot be read whole", member=min(broken))
        return Condition.LOST, frozenset(), (_finding(reader, message),)
    return Condition.PARTLY, broken, tuple(_lost_parts(reader, record, broken))


def _lost_parts(reader: ArchiveReader, record: DatabaseRecord, broken: frozenset[str]) -> Iterator[Finding]:
    tables = {table.member: table for table in record.tables if table.member is not None}
    for name in sorted(broken):
        table = tables.get(name)
        if table is not None:
            message = msg("the {rows} rows of the table `{table}` are lost", rows=table.rows or 0, table=table.name)
        else:
            message = msg("large objects are lost: `{member}` cannot be read whole", member=name)
        yield _finding(reader, message)


def _survey_media(reader: ArchiveReader, advance: Callable[[int], object]) -> _Half:
    media = reader.manifest.media
    if media is None:
        return Condition.NONE, frozenset(), ()
    skip: set[str] = set()
    files = 0
    reason: Message | None = None
    try:
        for each in located(reader):
            # A link's target stands in the inventory, and a folder has no content.
            if each.entry is not None and each.entry.type == "file":
                files += 1
                if not _is_whole(reader, each, advance):
                    skip.add(each.member.name)
    except ArchiveDamaged as error:
        reason = error.message
    if reason is None and files != media.files:
        reason = msg("the manifest counts other media than the inventory holds")
    if reason is not None:
        return Condition.LOST, frozenset(), (_finding(reader, msg("the media are lost: {reason}", reason=reason)),)
    lost = (_finding(reader, msg("the file `{member}` is lost", member=name)) for name in sorted(skip))
    return Condition.PARTLY if skip else Condition.WHOLE, frozenset(skip), tuple(lost)


def _is_whole(reader: ArchiveReader, each: Located, advance: Callable[[int], object]) -> bool:
    try:
        for _ in reader.content(each.member, each.position):
            pass
    except ArchiveDamaged:
        return False
    finally:
        advance(each.member.whole_length)
    return True


def _finding(reader: ArchiveReader, message: Message) -> Finding:
    return Finding("restore.lost", message, reader.name)
