"""Archives of the scripts that this tool replaces: plain zips, recognised by what lies at their top.

    school_backup_YYYYMMDD_HHMMSS.zip
    ├── manifest.json              project, created_at, django_version, db_engine; may be missing
    ├── db_postgres_*.sql          or db.sqlite3
    └── media/…

They hold no checksums but the zip's own CRC-32s. Nothing of them is extracted here, and no claim of theirs is trusted:
not how many members there are, nor how large, nor that they lie side by side.
"""

import codecs
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runner.archive import foreign_zip, layout
from runner.archive.extract import Advance, write_new_file
from runner.archive.foreign_zip import BROKEN, ContentBroken, Directory, ZipMember, directory_of, opened_zip, shown
from runner.archive.verify import MAX_FINDINGS
from runner.errors import ArchiveDamaged, Finding
from runner.messages import Message, msg
from runner.model.manifest import INVENTORY_NAME, MANIFEST_NAME, MEDIA_PREFIX, RESTORE_NAME

_POSTGRES_DUMP = re.compile(r"db_postgres_[^/]*\.sql")
_SQLITE_COPY = "db.sqlite3"
_OURS = frozenset({INVENTORY_NAME, RESTORE_NAME})
_MAX_MANIFEST = 1 << 20
_TAIL_BYTES = layout.TAIL_LENGTH + 1024
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_BY_HAND = msg("take out by hand what you need of it, with a tool that you trust, in an empty folder")


@dataclass(frozen=True, slots=True)
class LegacyArchive:
    """What a legacy archive says of itself. Texts are its own claims, empty where it makes none."""

    members: tuple[ZipMember, ...]
    database: str | None
    engine: str
    project: str
    created_at: str
    django_version: str

    @property
    def dump(self) -> ZipMember | None:
        """The member that holds the database."""
        return next((member for member in self.members if member.name == self.database), None)

    @property
    def media(self) -> tuple[ZipMember, ...]:
        """The files below `media/`."""
        return tuple(
            member for member in self.members if member.name.startswith(MEDIA_PREFIX) and not member.name.endswith("/")
        )


def read_legacy(file: BinaryIO) -> LegacyArchive | None:
    """None when this is no legacy archive: no zip, nothing in it that the old scripts wrote, or a damaged one of ours.

    An archive of ours is never taken for a legacy one, whichever of its bytes changed. Raises OSError.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    if layout.claims_to_be_ours(file.read(_TAIL_BYTES)):
        return None
    try:
        with opened_zip(file) as archive:
            members = directory_of(archive).members
            claims = _claims(archive)
    except zipfile.BadZipFile:
        return None
    names = {member.name for member in members}
    if names & _OURS or "archive_id" in claims:
        return None
    database = next((name for name in sorted(names) if _POSTGRES_DUMP.fullmatch(name)), None)
    if database is None and _SQLITE_COPY in names:
        database = _SQLITE_COPY
    has_media = any(name.startswith(MEDIA_PREFIX) for name in names)
    if database is None and not (has_media and "project" in claims):
        return None
    return LegacyArchive(
        members,
        database,
        "" if database is None else "sqlite" if database == _SQLITE_COPY else "postgresql",
        claims.get("project", ""),
        claims.get("created_at", ""),
        claims.get("django_version", ""),
    )


def check_legacy(file: BinaryIO, name: str, advance: Callable[[int], object] = lambda _bytes: None) -> list[Finding]:
    """Inspect every member, read it and compare its CRC-32, the only checksum there is. Returns the damage.

    `advance` is told of the bytes done. What is read is at most what deflate can make of the file's own size. Raises
    OSError.
    """
    damage: list[Finding] = []
    try:
        for message in _damage(file, advance):
            if len(damage) >= MAX_FINDINGS:
                message = msg("more than {count} places; the rest was not read", count=MAX_FINDINGS)  # noqa: PLW2901 - the last one
            damage.append(Finding(ArchiveDamaged.code, message, name))
            if len(damage) > MAX_FINDINGS:
                break
    except zipfile.BadZipFile:
        damage.append(Finding(ArchiveDamaged.code, msg("the zip's own directory cannot be read"), name))
    return damage


def inspect_legacy(file: BinaryIO, name: str) -> LegacyArchive:
    """The archive, when nothing in it is hostile; asked before anything of it is put anywhere.

    Every member's name stays below the folder that it is put into, and no two are one place; none is a link, encrypted,
    overlaps with another or lies about its size. Raises ArchiveDamaged naming each member that does, OSError.
    """
    archive = read_legacy(file)
    if archive is None:
        raise ArchiveDamaged(msg("is no archive of the old scripts"), where=name)
    try:
        with opened_zip(file) as opened:
            directory = directory_of(opened)
    except zipfile.BadZipFile:
        raise ArchiveDamaged(msg("the zip's own directory cannot be read"), where=name, hint=_BY_HAND) from None
    found = [message for _, message in sorted(foreign_zip.faults(file, directory).items())]
    if foreign_zip.overlap(directory, file.seek(0, io.SEEK_END)):
        found.append(msg("its members overlap"))
    if len([member for member in archive.members if _POSTGRES_DUMP.fullmatch(member.name)]) > 1:
        found.append(msg("it holds more than one database dump, and nothing says which one counts"))
    if found:
        raise ArchiveDamaged(
            msg(
                "{first}; nothing of it was unpacked (places that are wrong: {count})", first=found[0], count=len(found)
            ),
            [Finding(ArchiveDamaged.code, message, name) for message in found[:MAX_FINDINGS]],
            where=name,
            hint=_BY_HAND,
        )
    return archive


def legacy_content(file: BinaryIO, member: ZipMember, name: str) -> Iterator[bytes]:
    """The content of a member of an inspected archive, never more than it claims.

    Raises ArchiveDamaged, at the end if size or CRC-32 differ; OSError.
    """
    try:
        yield from foreign_zip.content(file, member)
    except ContentBroken:
        raise ArchiveDamaged(_cut(member), where=name, hint=_BY_HAND) from None


def unpack_legacy(
    file: BinaryIO, member: ZipMember, path: Path, name: str, advance: Advance = lambda _bytes: None
) -> None:
    """Write the content as `path`, which must not be there: mode 0600, flushed with its name.

    After an error a part of it is left. Raises ArchiveDamaged, WorkspaceFailed, OSError.
    """
    write_new_file(path, legacy_content(file, member, name), advance)


def _damage(file: BinaryIO, advance: Callable[[int], object]) -> Iterator[Message]:
    with opened_zip(file) as archive:
        directory: Directory = directory_of(archive)
    if foreign_zip.overlap(directory, file.seek(0, io.SEEK_END)):
        yield msg("its members overlap, so none of them was read")
        return
    faults = foreign_zip.faults(file, directory)
    for place, member in enumerate(directory.members):
        if place in faults:
            yield faults[place]
        elif not _is_whole(file, member):
            yield _cut(member)
        advance(member.size_stored)


def _is_whole(file: BinaryIO, member: ZipMember) -> bool:
    try:
        for _ in foreign_zip.content(file, member):
            pass
    except ContentBroken:
        return False
    return True


def _cut(member: ZipMember) -> Message:
    return msg("`{member}` cannot be read whole", member=shown(member.name))


def _claims(archive: zipfile.ZipFile) -> dict[str, str]:
    """The texts of its manifest, which PowerShell may have written in UTF-16 or with a byte order mark."""
    try:
        info = archive.getinfo(MANIFEST_NAME)
        if info.compress_type not in _METHODS:
            return {}
        with archive.open(info) as member:
            content = member.read(_MAX_MANIFEST)
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        document = json.loads(content.decode("utf-16" if wide else "utf-8-sig"))
    except (KeyError, *BROKEN):  # a RecursionError is a RuntimeError
        return {}
    if not isinstance(document, dict):
        return {}
    return {str(key): value for key, value in document.items() if isinstance(value, str)}
