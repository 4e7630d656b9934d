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
from runner.cli.text import grouped_text, printable, size_text, table, wrapped
from runner.messages import Message, counted, msg
from runner.model.manifest import DatabaseRecord, Manifest, PostgresqlRecord, WarningRecord
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
    name = msg("{archive} ({size})", archive=opened.name, size=size_text(opened.size_bytes))
    yield from wrapped(name.localized(), "  ")
    if isinstance(archive, LegacyArchive):
        yield from _legacy_lines(archive)
        return
    manifest = archive.manifest
    for line in _origin_texts(archive):
        yield from wrapped(line.localized(), "    ")
    yield from summary_lines(manifest)
    if manifest.database is not None:
        yield from _database_lines(manifest.database)
    for line in _remark_texts(manifest):
        yield from wrapped(line.localized(), "    ")


def _origin_texts(archive: ArchiveReader) -> Iterator[Message]:
    manifest = archive.manifest
    yield msg(
        "  {variant} backup of {profile}, made {time}",
        variant=manifest.variant,
        profile=manifest.profile,
        time=moment_text(archive.created_at),
    )
    yield msg(
        "  on {host} (instance {instance}) by runner {version}",
        host=manifest.host,
        instance=manifest.instance,
        version=manifest.runner_version,
    )
    yield msg("  id {archive_id}", archive_id=manifest.archive_id)


def _remark_texts(manifest: Manifest) -> Iterator[Message]:
    if manifest.media is not None and manifest.media.exclude:
        patterns = ", ".join(manifest.media.exclude)
        yield msg("  left out by the profile: files that match {patterns}", patterns=patterns)
    if manifest.references is not None:
        yield from (msg("  missing: {file}", file=value) for value in manifest.references.missing)
    yield from map(_warning_text, manifest.warnings)


def _warning_text(warning: WarningRecord) -> Message:
    if warning.where is None:
        return msg("  warning when it was made: {message}", message=warning.message)
    return msg("  warning when it was made: {where}: {message}", where=warning.where, message=warning.message)


def _legacy_lines(archive: LegacyArchive) -> Iterator[str]:
    for line in _legacy_texts(archive):
        yield from wrapped(line.localized(), "    ")


def _legacy_texts(archive: LegacyArchive) -> Iterator[Message]:
    yield msg("  legacy: no checksums; what follows is what it says of itself")
    if archive.project:
        yield msg("  project: {project}", project=archive.project)
    if archive.created_at:
        yield msg("  made: {time}", time=archive.created_at)
    if archive.django_version:
        yield msg("  Django: {version}", version=archive.django_version)
    if archive.database is not None:
        yield msg("  database: {engine}, {dump}", engine=archive.engine, dump=archive.database)


def _database_lines(database: DatabaseRecord) -> Iterator[str]:
    yield from wrapped(_dump_text(database).localized(), "    ")
    largest = sorted(database.tables, key=lambda each: -(each.rows or 0))[:_LARGEST]
    left_out = msg("left out").localized()
    rows = [[each.name, left_out if each.rows is None else grouped_text(each.rows)] for each in largest]
    yield from _indented([msg("Largest tables"), msg("Rows")], rows)
    if isinstance(database, PostgresqlRecord) and database.exclude_table_data:
        tables = ", ".join(database.exclude_table_data)
        yield from wrapped(msg("  left out by the profile: data of {tables}", tables=tables).localized(), "    ")
    if database.django is not None:
        applied = Counter(migration.app for migration in database.django.migrations)
        counts = ", ".join(f"{app} {count}" for app, count in sorted(applied.items()))
        yield from wrapped(msg("  Django migrations: {counts}", counts=counts).localized(), "    ")


def _dump_text(database: DatabaseRecord) -> Message:
    size = size_text(database.size)
    if not isinstance(database, PostgresqlRecord):
        return msg("  {size} in the database, dumped as {dump}", size=size, dump=database.dump)
    return msg(
        "  {size} in the database, dumped as {dump} by pg_dump {version}",
        size=size,
        dump=database.dump,
        version=database.client_version,
    )


def _folder_lines(folders: dict[str, FolderCount], pattern: str | None) -> Iterator[str]:
    if pattern is not None:
        total = _total(folders)
        line = counted(
            "{count} file matches {pattern} ({size})",
            "{count} files match {pattern} ({size})",
            total.files,
            pattern=pattern,
            size=size_text(total.bytes),
        )
        yield from wrapped(line.localized(), "  ")
    if folders:
        rows = [[name, grouped_text(count.files), size_text(count.bytes)] for name, count in folders.items()]
        yield from _indented([msg("Media folder"), msg("Files"), msg("Size")], rows)


def _total(folders: dict[str, FolderCount]) -> FolderCount:
    return FolderCount(sum(count.files for count in folders.values()), sum(count.bytes for count in folders.values()))


def _indented(heads: Sequence[Message], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table below a summary; the empty first column leaves an empty line for each row where it does not fit."""
    yield from filter(None, table(["", *(head.localized() for head in heads)], [["", *row] for row in rows]))


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
