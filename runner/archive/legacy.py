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
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from runner.archive import layout
from runner.archive.verify import MAX_FINDINGS
from runner.errors import ArchiveDamaged, Finding
from runner.messages import Message, msg
from runner.model.manifest import INVENTORY_NAME, MANIFEST_NAME, MEDIA_PREFIX, RESTORE_NAME

_POSTGRES_DUMP = re.compile(r"db_postgres_[^/]*\.sql")
_SQLITE_COPY = "db.sqlite3"
_OURS = frozenset({INVENTORY_NAME, RESTORE_NAME})
_MAX_MANIFEST = 1 << 20
_MAX_DIRECTORY = 32 << 20  # 300,000 files with names of 60 characters; `zipfile` takes ten times that in memory
_MAX_OFFSET = 1 << 62
_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = layout.TAIL_LENGTH + 1024
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# What `zipfile` raises for a zip that is not one. OSError is none of them: then the disk failed, not the archive.
_BROKEN = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, zlib.error, EOFError, RuntimeError)


@dataclass(frozen=True, slots=True)
class LegacyMember:
    """One entry of the zip, as its directory claims it; `name` has forward slashes, whatever tool wrote it."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class LegacyArchive:
    """What a legacy archive says of itself. Texts are its own claims, empty where it makes none."""

    members: tuple[LegacyMember, ...]
    database: str | None
    engine: str
    project: str
    created_at: str
    django_version: str

    @property
    def media(self) -> tuple[LegacyMember, ...]:
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
    bounded = _Bounded(file)
    try:
        with zipfile.ZipFile(bounded) as archive:
            members = tuple(LegacyMember(_name(info), info.file_size) for info in archive.infolist())
            claims = _claims(archive)
    except _BROKEN:
        bounded.raise_failure()
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
    """Read every member and compare its CRC-32, the only checksum there is. Returns the damage; raises OSError.

    `advance` is told of the bytes done. What is read is at most what deflate can make of the file's own size.
    """
    size = file.seek(0, io.SEEK_END)
    damage: list[Finding] = []
    bounded = _Bounded(file)
    try:
        with zipfile.ZipFile(bounded) as archive:
            for message in _damage(archive, size, advance):
                if len(damage) >= MAX_FINDINGS:
                    message = msg("more than {count} places; the rest was not read", count=MAX_FINDINGS)  # noqa: PLW2901 - the last one
                damage.append(Finding(ArchiveDamaged.code, message, name))
                if len(damage) > MAX_FINDINGS:
                    break
    except _BROKEN:
        bounded.raise_failure()
        damage.append(Finding(ArchiveDamaged.code, msg("the zip's own directory cannot be read"), name))
    return damage


def _damage(archive: zipfile.ZipFile, size: int, advance: Callable[[int], object]) -> Iterator[Message]:
    members = archive.infolist()
    if sum(info.compress_size for info in members) > size:
        # A bomb: a few bytes that the directory names again and again.
        yield msg("its members overlap, so none of them was read")
        return
    for info in members:
        if info.flag_bits & _ENCRYPTED:
            yield msg("`{member}` is encrypted, and the old scripts never did that", member=info.filename)
        elif info.compress_type not in _METHODS:
            yield msg("`{member}` is compressed as the old scripts never did", member=info.filename)
        elif not _is_whole(archive, info):
            yield msg("`{member}` cannot be read whole", member=info.filename)
        advance(info.compress_size)


def _is_whole(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    read = 0
    try:
        with archive.open(info) as member:
            # `zipfile` stops at the size that the member claims, and compares the CRC-32 there.
            while chunk := member.read(_CHUNK_BYTES):
                read += len(chunk)
    except _BROKEN:
        return False
    return read == info.file_size


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
    except (KeyError, *_BROKEN):  # a RecursionError is a RuntimeError
        return {}
    if not isinstance(document, dict):
        return {}
    return {str(key): value for key, value in document.items() if isinstance(value, str)}


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/")


class _Bounded:
    """The file as `zipfile` may use it: it reads the whole directory at once, believes every offset, and takes a disk
    that fails for a file that is no zip.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise what the disk said, if it said anything."""
        if self._failure is not None:
            raise self._failure

    def read(self, size: int = -1, /) -> bytes:
        if size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile
        try:
            return self._file.read(size)
        except OSError as error:
            self._failure = error
            raise

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if abs(offset) > _MAX_OFFSET or (whence == io.SEEK_SET and offset < 0):
            raise zipfile.BadZipFile
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True
