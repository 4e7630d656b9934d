"""The work of `runner show`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from runner.archive.legacy import LegacyArchive
from runner.archive.reader import ArchiveReader
from runner.cli.archives import Arguments, wanted_archive
from runner.cli.moments import moment_text
from runner.cli.reports import summary_lines
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import count_text, printable, size_text, table, wrapped
from runner.model.manifest import DatabaseRecord, Manifest, PostgresqlRecord
from runner.workflow.archives import Opened
from runner.workflow.contents import File, FolderCount, count_folders, files_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 10


def show_outcome(
    settings: Settings, wanted: Arguments, *, files: bool, pattern: str | None, output_format: str = "text"
) -> Outcome:
    """Raises ArchiveDamaged when the manifest or the inventory is not what it must be.

    As text, the files are read while they are printed: an archive of a million takes no more memory than one of ten.
    """
    with ExitStack() as stack:
        _, opened = stack.enter_context(wanted_archive(settings, wanted))
        archive = opened.reader or opened.legacy
        assert archive is not None  # noqa: S101 - an opened archive is one of the two
        folders = count_folders(archive, pattern)
        data = _data(opened, archive, folders, pattern)
        lines = (*_head_lines(opened, archive), *_folder_lines(folders, pattern))
        more: Iterator[str] | None = None
        if files and output_format == "json":
            data["files"] = [_file_data(file) for file in files_of(archive, pattern)]
        elif files:
            more = _file_lines(archive, pattern, stack.pop_all())
        return Outcome(data, lines, opened.warnings, more=more)
    raise AssertionError  # an ExitStack could swallow an exception; none of ours does


def _file_lines(archive: ArchiveReader | LegacyArchive, pattern: str | None, held: ExitStack) -> Iterator[str]:
    """One line a file; `held` keeps the archive open until the last of them."""
    with held:
        for file in files_of(archive, pattern):
            yield _file_line(file)


def _head_lines(opened: Opened, archive: ArchiveReader | LegacyArchive) -> Iterator[str]:
    yield from wrapped(f"{opened.name} ({size_text(opened.size_bytes)})", "  ")
    if isinstance(archive, LegacyArchive):
        yield from _legacy_lines(archive)
        return
    manifest = archive.manifest
    made = moment_text(archive.created_at)
    yield from wrapped(f"  {manifest.variant} backup of {manifest.profile}, made {made}", "    ")
    yield from wrapped(
        f"  on {manifest.host} (instance {manifest.instance}) by runner {manifest.runner_version}", "    "
    )
    yield from wrapped(f"  id {manifest.archive_id}", "    ")
    yield from summary_lines(manifest)
    if manifest.database is not None:
        yield from _database_lines(manifest.database)
    if manifest.media is not None and manifest.media.exclude:
        yield from wrapped(f"  left out by the profile: files that match {', '.join(manifest.media.exclude)}", "    ")
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
    made_by = f" by pg_dump {database.client_version}" if isinstance(database, PostgresqlRecord) else ""
    yield from wrapped(f"  {size_text(database.size)} in the database, dumped as {database.dump}{made_by}", "    ")
    largest = sorted(database.tables, key=lambda each: -(each.rows or 0))[:_LARGEST]
    rows = [[each.name, "left out" if each.rows is None else f"{each.rows:,}"] for each in largest]
    yield from _indented(["Largest tables", "Rows"], rows)
    if isinstance(database, PostgresqlRecord) and database.exclude_table_data:
        yield from wrapped(f"  left out by the profile: data of {', '.join(database.exclude_table_data)}", "    ")
    if database.django is not None:
        applied = Counter(migration.app for migration in database.django.migrations)
        text = ", ".join(f"{app} {count}" for app, count in sorted(applied.items()))
        yield from wrapped(f"  Django migrations: {text}", "    ")


def _folder_lines(folders: dict[str, FolderCount], pattern: str | None) -> Iterator[str]:
    if pattern is not None:
        total = _total(folders)
        files = count_text(total.files, "file matches", "files match")
        yield from wrapped(f"{files} {pattern} ({size_text(total.bytes)})", "  ")
    if folders:
        rows = [[name, f"{count.files:,}", size_text(count.bytes)] for name, count in folders.items()]
        yield from _indented(["Media folder", "Files", "Size"], rows)


def _total(folders: dict[str, FolderCount]) -> FolderCount:
    return FolderCount(sum(count.files for count in folders.values()), sum(count.bytes for count in folders.values()))


def _indented(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table below a summary; the empty first column leaves an empty line for each row where it does not fit."""
    yield from filter(None, table(["", *heads], [["", *row] for row in rows]))


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
    return moment.isoformat(" ", "seconds")[:19]


def _data(
    opened: Opened, archive: ArchiveReader | LegacyArchive, folders: dict[str, FolderCount], pattern: str | None
) -> dict[str, Any]:
    data = {
        "archive": opened.name,
        "location": opened.location,
        "size_bytes": opened.size_bytes,
        "legacy": isinstance(archive, LegacyArchive),
        "manifest": _legacy_data(archive) if isinstance(archive, LegacyArchive) else _manifest_data(archive.manifest),
        "folders": {name: _count_data(count) for name, count in folders.items()},
    }
    if pattern is not None:
        data["matching"] = {"pattern": pattern, **_count_data(_total(folders))}
    return data


def _legacy_data(archive: LegacyArchive) -> dict[str, Any]:
    """Its claims, in the places where a manifest has what is known."""
    return {
        "project": archive.project,
        "created_at": archive.created_at,
        "django_version": archive.django_version,
        "database": None if archive.database is None else {"engine": archive.engine, "dump": archive.database},
    }


def _manifest_data(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it stands, less the technical list of members."""
    content: dict[str, Any] = msgspec.to_builtins(manifest)
    content.pop("members")
    return content


def _count_data(count: FolderCount) -> dict[str, int]:
    return {"files": count.files, "bytes": count.bytes}


def _file_data(file: File) -> dict[str, Any]:
    return {"path": file.path, "type": file.type, "size": file.size, "mtime_ns": file.mtime_ns}
