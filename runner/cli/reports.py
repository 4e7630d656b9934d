"""What a backup did, as text and as JSON."""

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec

from runner.cli.text import count_text, size_text, wrapped
from runner.model.manifest import DatabaseRecord, Manifest, MediaRecord, PostgresqlRecord, SqliteRecord
from runner.model.report import BackupReport


def backup_lines(report: BackupReport) -> Iterator[str]:
    """A few lines: what is in the archive, where it lies, and whether it was read again."""
    yield from wrapped(f"{report.archive_name}: {report.manifest.variant} backup of {report.profile}", "  ")
    yield from summary_lines(report.manifest)
    for placed in report.placed:
        checked = "every byte verified" if placed.verified else "NOT verified (archive.verify: false)"
        yield from wrapped(f"  {size_text(placed.size_bytes)} in {placed.path}, {checked}", "    ")
    yield from wrapped(f"  {report.duration_seconds:.1f} s", "    ")


def backup_data(report: BackupReport) -> dict[str, Any]:
    """The same for programs."""
    return {
        "profile": report.profile,
        "archive": report.archive_name,
        "archive_id": report.manifest.archive_id,
        "variant": report.manifest.variant,
        "created_at": report.manifest.created_at,
        "duration_seconds": round(report.duration_seconds, 3),
        "placed": [
            {
                "destination": placed.destination,
                "path": str(placed.path),
                "size_bytes": placed.size_bytes,
                "verified": placed.verified,
            }
            for placed in report.placed
        ],
        **summary_data(report.manifest),
    }


def summary_lines(manifest: Manifest) -> Iterator[str]:
    """The two halves and what was checked between them."""
    if manifest.database is not None:
        yield from wrapped(f"  database: {_database_text(manifest.database)}", "    ")
    if manifest.media is not None:
        yield from wrapped(f"  media: {_media_text(manifest.media)}", "    ")
    references = manifest.references
    if references is not None:
        checked = (
            "not checked: this backup holds one of the halves"
            if references.checked is None
            else f"{references.checked:,} checked, {len(references.missing)} missing"
        )
        yield from wrapped(f"  files that the database names: {checked}", "    ")


def summary_data(manifest: Manifest) -> dict[str, Any]:
    """The manifest's own records, less the long lists."""
    database = None if manifest.database is None else msgspec.to_builtins(manifest.database)
    if database is not None:
        database["rows"] = sum(table.rows or 0 for table in manifest.database.tables) if manifest.database else 0
        for key in ("django", "sequences", "roles"):
            database.pop(key, None)
    return {
        "database": database,
        "media": None if manifest.media is None else msgspec.to_builtins(manifest.media),
        "references": None if manifest.references is None else msgspec.to_builtins(manifest.references),
    }


def _database_text(database: DatabaseRecord) -> str:
    rows = sum(table.rows or 0 for table in database.tables)
    match database:
        case PostgresqlRecord(server_version=version):
            engine = f"PostgreSQL {version}"
        case SqliteRecord(sqlite_version=version):
            engine = f"SQLite {version}"
        case _:
            assert_never(database)
    tables = count_text(len(database.tables), "table", "tables")
    return f"{engine}, {tables}, {count_text(rows, 'row', 'rows')}"


def _media_text(media: MediaRecord) -> str:
    files = count_text(media.files, "file", "files")
    folders = count_text(media.directories, "folder", "folders")
    return f"{files} in {folders}, {size_text(media.bytes)}"
