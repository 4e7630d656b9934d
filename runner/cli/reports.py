"""What a backup did, as text and as JSON."""

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec

from runner.cli.text import grouped_text, number_text, size_text, wrapped
from runner.messages import Message, counted, msg
from runner.model.manifest import (
    DatabaseRecord,
    Manifest,
    MediaRecord,
    PostgresqlRecord,
    ReferencesRecord,
    SqliteRecord,
)
from runner.model.report import BackupReport, Placed


def backup_lines(report: BackupReport) -> Iterator[str]:
    """A few lines: what is in the archive, where it lies, and whether it was read again."""
    line = msg(
        "{archive}: {variant} backup of {profile}",
        archive=report.archive_name,
        variant=report.manifest.variant,
        profile=report.profile,
    )
    yield from wrapped(line.localized(), "  ")
    yield from summary_lines(report.manifest)
    for placed in report.placed:
        yield from wrapped(_placed_text(placed).localized(), "    ")
    yield from wrapped(msg("  {seconds} s", seconds=number_text(report.duration_seconds)).localized(), "    ")


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
        yield from wrapped(_database_text(manifest.database).localized(), "    ")
    if manifest.media is not None:
        yield from wrapped(_media_text(manifest.media).localized(), "    ")
    if manifest.references is not None:
        yield from wrapped(_references_text(manifest.references).localized(), "    ")


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


def _placed_text(placed: Placed) -> Message:
    size = size_text(placed.size_bytes)
    if placed.verified:
        return msg("  {size} in {path}, every byte verified", size=size, path=placed.path)
    return msg("  {size} in {path}, NOT verified (archive.verify: false)", size=size, path=placed.path)


def _database_text(database: DatabaseRecord) -> Message:
    rows = sum(table.rows or 0 for table in database.tables)
    match database:
        case PostgresqlRecord(server_version=version):
            engine = f"PostgreSQL {version}"
        case SqliteRecord(sqlite_version=version):
            engine = f"SQLite {version}"
        case _:
            assert_never(database)
    return msg(
        "  database: {engine}, {tables}, {rows}",
        engine=engine,
        tables=counted("{count} table", "{count} tables", len(database.tables)),
        rows=counted("{count} row", "{count} rows", rows),
    )


def _media_text(media: MediaRecord) -> Message:
    return msg(
        "  media: {files} in {folders}, {size}",
        files=counted("{count} file", "{count} files", media.files),
        folders=counted("{count} folder", "{count} folders", media.directories),
        size=size_text(media.bytes),
    )


def _references_text(references: ReferencesRecord) -> Message:
    if references.checked is None:
        return msg("  files that the database names: not checked: this backup holds one of the halves")
    return msg(
        "  files that the database names: {checked} checked, {missing} missing",
        checked=grouped_text(references.checked),
        missing=len(references.missing),
    )
