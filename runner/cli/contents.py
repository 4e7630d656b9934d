"""The work of `runner show`."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from runner.archive.legacy import LegacyArchive
from runner.archive.reader import ArchiveReader
from runner.cli.archives import Wanted, wanted_archive
from runner.cli.reports import summary_lines
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import count_text, printable, size_text, table, wrapped
from runner.model.manifest import DatabaseRecord, Manifest, PostgresqlRecord
from runner.workflow.archives import Opened
from runner.workflow.contents import File, FolderCount, count_folders, files_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def show_outcome(settings: Settings, wanted: Wanted, *, files: bool, pattern: str | None) -> Outcome:
    """Raises ArchiveDamaged when the manifest or the inventory is not what it must be."""
    with wanted_archive(settings, wanted) as (_, opened):
        archive = opened.reader or opened.legacy
        assert archive is not None  # noqa: S101 - an opened archive is one of the two
        found = list(files_of(archive, pattern)) if files else []
        folders = _folders(found) if pattern is not None else count_folders(archive)
        data = {**_data(opened, archive), "folders": {name: _count_data(count) for name, count in folders.items()}}
        lines = [*_head_lines(opened, archive), *_folder_lines(folders, pattern)]
        if files:
            data["files"] = [_file_data(file) for file in found]
            lines += [_file_line(file) for file in found]
        return Outcome(data, tuple(lines), opened.warnings)


def _folders(found: list[File]) -> dict[str, FolderCount]:
    """The counts of a selection, as one."""
    files = [file for file in found if file.type == "file"]
    return {"matching": FolderCount(len(files), sum(file.size for file in files))}


def _head_lines(opened: Opened, archive: ArchiveReader | LegacyArchive) -> Iterator[str]:
    yield from wrapped(f"{opened.name} ({size_text(opened.size_bytes)})", "  ")
    if isinstance(archive, LegacyArchive):
        yield from _legacy_lines(archive)
        return
    manifest = archive.manifest
    made = archive.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    yield from wrapped(f"  {manifest.variant} backup of {manifest.profile}, made {made}", "    ")
    yield from wrapped(
        f"  on {manifest.host} (instance {manifest.instance}) by runner {manifest.runner_version}", "    "
    )
    yield from summary_lines(manifest)
    if manifest.database is not None:
        yield from _database_lines(manifest.database)
    if manifest.references is not None:
        for value in manifest.references.missing:
            yield from wrapped(f"  missing: {value}", "    ")
    for warning in manifest.warnings:
        where = "" if warning.where is None else f"{warning.where}: "
        yield from wrapped(f"  warning when it was made: {where}{warning.message}", "    ")


def _legacy_lines(archive: LegacyArchive) -> Iterator[str]:
    yield from wrapped("  legacy: no checksums; what follows is what it says of itself", "    ")
    claims = {"project": archive.project, "made": archive.created_at, "Django": archive.django_version}
    for name, value in claims.items():
        if value:
            yield from wrapped(f"  {name}: {value}", "    ")
    if archive.database is not None:
        yield from wrapped(f"  database: {archive.engine}, {archive.database}", "    ")


def _database_lines(database: DatabaseRecord) -> Iterator[str]:
    largest = sorted(database.tables, key=lambda each: -(each.rows or 0))[:10]
    rows = [["", each.name, "left out" if each.rows is None else f"{each.rows:,}"] for each in largest]
    yield from table(["", "Largest tables", "Rows"], rows)
    if isinstance(database, PostgresqlRecord) and database.exclude_table_data:
        yield from wrapped(f"  left out by the profile: data of {', '.join(database.exclude_table_data)}", "    ")
    if database.django is not None:
        applied = Counter(migration.app for migration in database.django.migrations)
        text = ", ".join(f"{app} {count}" for app, count in sorted(applied.items()))
        yield from wrapped(f"  Django migrations: {text}", "    ")


def _folder_lines(folders: dict[str, FolderCount], pattern: str | None) -> Iterator[str]:
    if pattern is not None:
        (count,) = folders.values()
        files = count_text(count.files, "file matches", "files match")
        yield from wrapped(f"{files} {pattern} ({size_text(count.bytes)})", "  ")
    elif folders:
        rows = [["", name, f"{count.files:,}", size_text(count.bytes)] for name, count in folders.items()]
        yield from table(["", "Media folder", "Files", "Size"], rows)


def _file_line(file: File) -> str:
    """Fixed columns first, the name last and whole: a list is read by programs too."""
    made = "-" * 19 if file.mtime_ns is None else _time_text(file.mtime_ns)
    suffix = {"directory": "/", "link": "@"}.get(file.type, "")
    return f"{file.size:>14,}  {made}  {printable(file.path)}{suffix}"


def _time_text(mtime_ns: int) -> str:
    try:
        moment = (_EPOCH + timedelta(seconds=mtime_ns // 10**9)).astimezone()
    except (OverflowError, OSError):
        return "?" * 19
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _data(opened: Opened, archive: ArchiveReader | LegacyArchive) -> dict[str, Any]:
    common = {"archive": opened.name, "location": opened.location, "size_bytes": opened.size_bytes}
    if isinstance(archive, LegacyArchive):
        claims = {
            "project": archive.project,
            "created_at": archive.created_at,
            "django_version": archive.django_version,
        }
        database = None if archive.database is None else {"engine": archive.engine, "dump": archive.database}
        return {**common, "legacy": True, "manifest": {**claims, "database": database}}
    return {**common, "legacy": False, "manifest": _manifest_data(archive.manifest)}


def _manifest_data(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it stands, less the technical list of members."""
    content: dict[str, Any] = msgspec.to_builtins(manifest)
    content.pop("members")
    return content


def _count_data(count: FolderCount) -> dict[str, int]:
    return {"files": count.files, "bytes": count.bytes}


def _file_data(file: File) -> dict[str, Any]:
    return {"path": file.path, "type": file.type, "size": file.size, "mtime_ns": file.mtime_ns}
