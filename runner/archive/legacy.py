"""Archives of the scripts that this tool replaces: plain zips, recognised by what lies at their top.

    school_backup_YYYYMMDD_HHMMSS.zip
    ├── manifest.json              project, created_at, django_version, db_engine; may be missing
    ├── db_postgres_*.sql          or db.sqlite3
    └── media/…

They hold no checksums but the zip's own CRC-32s. Nothing of them is extracted here, and no claim of theirs is trusted.
"""

import codecs
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from runner.errors import ArchiveDamaged, Finding
from runner.messages import msg
from runner.model.manifest import MANIFEST_NAME, MEDIA_PREFIX

_POSTGRES_DUMP = re.compile(r"db_postgres_[^/\\]*\.sql")
_SQLITE_COPY = "db.sqlite3"
_MAX_MANIFEST = 1 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LegacyMember:
    """One entry of the zip, as its directory claims it."""

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
    """None when this is no legacy archive: no zip, or nothing in it that the old scripts wrote."""
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            names = {info.filename for info in infos}
            database = next((name for name in sorted(names) if _POSTGRES_DUMP.fullmatch(name)), None)
            if database is None and _SQLITE_COPY in names:
                database = _SQLITE_COPY
            claims = _claims(archive) if MANIFEST_NAME in names else {}
            has_media = any(name.startswith(MEDIA_PREFIX) for name in names)
            if database is None and not (has_media and "project" in claims):
                return None
            members = tuple(LegacyMember(info.filename, info.file_size) for info in infos)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    engine = "" if database is None else "sqlite" if database == _SQLITE_COPY else "postgresql"
    return LegacyArchive(
        members,
        database,
        engine,
        claims.get("project", ""),
        claims.get("created_at", ""),
        claims.get("django_version", ""),
    )


def test_legacy(file: BinaryIO, name: str) -> list[Finding]:
    """Read every member and compare its CRC-32, the only checksum there is. Returns the damage."""
    try:
        with zipfile.ZipFile(file) as archive:
            return list(_damage(archive, name))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return [Finding(ArchiveDamaged.code, msg("the zip's own directory cannot be read"), name)]


def _damage(archive: zipfile.ZipFile, name: str) -> Iterator[Finding]:
    for info in archive.infolist():
        read = 0
        try:
            with archive.open(info) as member:
                # One byte more than it claims to hold, and no further: a bomb is damage.
                while read <= info.file_size and (chunk := member.read(_CHUNK_BYTES)):
                    read += len(chunk)
            if read == info.file_size:
                continue
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, NotImplementedError):
            pass
        yield Finding(ArchiveDamaged.code, msg("`{member}` cannot be read whole", member=info.filename), name)


def _claims(archive: zipfile.ZipFile) -> dict[str, str]:
    """The texts of its manifest, which PowerShell may have written in UTF-16 or with a byte order mark."""
    try:
        with archive.open(MANIFEST_NAME) as member:
            content = member.read(_MAX_MANIFEST)
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        document = json.loads(content.decode("utf-16" if wide else "utf-8-sig"))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {str(key): value for key, value in document.items() if isinstance(value, str)}
