"""Safety copies: what a restore replaced, written out, proven, recorded, and removed when its time has come."""

import glob
import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from runner.archive.packing import gzipped
from runner.durable import (
    create_private,
    flush_file,
    flush_folder,
    make_private_folder,
    remove_file,
    remove_tree,
    replace_atomically,
)
from runner.errors import DumpIncomplete, Finding, WorkspaceFailed
from runner.journal import Begin, Journal
from runner.lanes import Lanes
from runner.media.trees import remove_tree as remove_media
from runner.messages import msg
from runner.model.manifest import DatabaseRecord
from runner.model.marks import DatabaseMarks, PostgresqlMarks, RunNames, SqliteMarks
from runner.model.profile import Compression, DatabaseConfig, PostgresqlConfig, Profile, Variant
from runner.model.replaced import KeptDump, KeptFile, KeptOnServer, Replaced
from runner.planning.safety import SafetyCopy, copies_to_remove
from runner.state import ProfileState
from runner.workflow.places import open_capture, open_restoration
from runner.workflow.politeness import dump_connections

_CHUNK_BYTES = 1 << 20


def dump_database(config: DatabaseConfig, target: Path, names: RunNames, workspace: Path, jobs: int) -> None:
    """Write the whole database into the new folder `target`, a dump in directory format, and prove it.

    It has another name until every byte was read again; what it holds stands in `TARGET.json`. What a profile leaves
    out of its backups is in it. `jobs`: how many threads. Raises RunnerError; then there is no `target`.
    """
    whole: DatabaseConfig = config
    if isinstance(config, PostgresqlConfig):
        whole = replace(config, exclude_table_data=(), format="directory")
    partial = target.with_name(f".{target.name}.{names.run_id}.partial")
    scratch = workspace / "replaced"
    try:
        remove_tree(scratch)  # what a killed run has left of it
        make_private_folder(scratch)
        make_private_folder(target.parent)
        remove_tree(partial)
        make_private_folder(partial)
        with Lanes(jobs) as lanes, open_capture(whole, scratch, f"{names.timestamp}_replaced") as capture:
            hashes: dict[Path, str] = {}
            for part in capture.parts(gzip=True, jobs=dump_connections(jobs)):
                path = partial / Path(part.name).name
                packed = gzipped(part.chunks, Compression.AUTO, lanes) if part.packing == "gzip" else part.chunks
                digest = hashlib.sha256()
                with create_private(path) as file:
                    for chunk in packed:
                        digest.update(chunk)
                        file.write(chunk)
                    flush_file(file)
                hashes[path] = digest.hexdigest()
            record = capture.record()
        _prove(hashes)
        for unfinished in target.parent.glob(f".{glob.escape(_record_of(target).name)}.*.new"):
            remove_file(unfinished)  # of a run that was killed
        replace_atomically(_record_of(target), msgspec.json.encode(record) + b"\n")
        flush_folder(partial)
        partial.rename(target)
        flush_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            remove_tree(partial)  # a full disk must not stay full for the want of it
        if not isinstance(error, OSError):
            raise
        raise WorkspaceFailed(
            msg("the safety copy cannot be written: {reason}", reason=error.strerror or str(error)),
            where=str(target),
            hint=msg("free some space there, or set `restore.safety_copy.path` to a folder on a larger disk"),
        ) from None


def kept_dump(target: Path | None) -> KeptDump | None:
    """The finished dump in `target`; None when it is not there, or not whole."""
    if target is None or not target.is_dir():
        return None
    try:
        record = msgspec.json.decode(_record_of(target).read_bytes(), type=DatabaseRecord)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return None
    return KeptDump(str(target), record)


def kept_file(path: Path, warn: Callable[[Finding], object]) -> KeptFile:
    """The finished copy of a SQLite database at `path`, with its hash; without one, and a warning, when it is away."""
    try:
        return KeptFile(str(path), file_sha256(path))
    except OSError as error:
        message = msg(
            "the safety copy was made and cannot be read any more: {reason}", reason=error.strerror or str(error)
        )
        hint = msg("there is no way back from this restore without it; connect the disk that it lies on")
        warn(Finding("safety-copy.failed", message, str(path), hint))
        return KeptFile(str(path))


def remove_kept(target: Path | None, names: RunNames) -> None:
    """Remove the safety copy of a database, finished or not, of a restore that was taken back. Raises OSError."""
    if target is None:
        return
    remove_tree(target.with_name(f".{target.name}.{names.run_id}.partial"))
    if target.is_dir():
        remove_tree(target)
    else:
        remove_file(target)
    remove_file(_record_of(target))


def new_record(journal: Journal, label: str | None, earlier: Sequence[Replaced]) -> Replaced:
    """The record of the restore that a journal is of, with no safety copy yet. `label` is the database's."""
    begin, database, media = journal.begin, journal.database, journal.media
    return Replaced(
        run_id=begin.run_id,
        at=begin.started_at,
        command=begin.command,
        variant=begin.variant,
        archive=begin.archive,
        exclude=begin.exclude,
        created=has_created(database),
        media_created=media is not None and media.live_inode is None,
        unreadable=isinstance(database, SqliteMarks) and not database.readable,
        number=1 + max((each.number for each in earlier), default=0),
        database_name=database.name if isinstance(database, PostgresqlMarks) else None,
        database_path=database.path if isinstance(database, SqliteMarks) else None,
        database_label=label,
        media_root=None if media is None else media.root,
    )


def has_created(marks: DatabaseMarks | None) -> bool:
    """Whether there was no database before."""
    match marks:
        case PostgresqlMarks(live_oid=None) | SqliteMarks(existed=False):
            return True
    return False


def prune_copies(profile: Profile, state: ProfileState, now: datetime) -> list[str]:
    """Remove the safety copies whose time has come; returns what was removed. Raises OSError, RunnerError."""
    records = {record.run_id: record for record in state.replaced() if state.home_of(record) is None}
    copies = [_copy_of(record) for record in records.values() if record.database is not None or record.media]
    target = undo_target(state)
    removed: list[str] = []
    for copy in copies_to_remove(
        copies,
        profile.restore.safety_copy.keep_last,
        now,
        _verified_backups(profile, state),
        None if target is None else target.run_id,
    ):
        if any(not path.parent.is_dir() for path in copy.paths):
            continue  # its disk is not connected
        kept = records[copy.run_id].database
        if isinstance(kept, KeptOnServer):
            _drop(profile, copy.run_id, kept, state)
            removed.append(kept.name)
        for path in copy.paths:
            _remove_copy(path)
            removed.append(str(path))
        state.forget_replaced(copy.run_id)
    return removed


def _remove_copy(path: Path) -> None:
    """A folder is renamed before its removal: what is half removed must not be taken for a whole copy."""
    gone = path.with_name(f"{path.name}.gone")
    remove_media(gone)
    if path.is_dir():
        path.rename(gone)
        flush_folder(path.parent)
        remove_media(gone)
    else:
        path.unlink(missing_ok=True)
    _record_of(path).unlink(missing_ok=True)


def mark_undone(state: ProfileState, begin: Begin) -> None:
    """The media of the restore that was taken back are live again, so its record no longer offers them."""
    if begin.undoes is None:
        return
    for record in state.replaced():
        if record.run_id == begin.undoes:
            # What was moved into place is not a safety copy any more; what was copied there still is one.
            media = record.media if record.media is not None and os.path.lexists(record.media) else None
            adopted = begin.variant != "media-only" and isinstance(record.database, KeptOnServer)
            database = None if adopted else record.database
            state.record_replaced(
                msgspec.structs.replace(record, database=database, media=media, undone_by=begin.run_id)
            )


def undo_target(state: ProfileState) -> Replaced | None:
    """The last restore or undo, which `runner undo` takes back; None when there was none."""
    records = state.replaced()
    return records[-1] if records else None


def not_kept(error_findings: tuple[Finding, ...], where: str) -> Finding:
    """The warning when the replaced state stays where the swap left it, because its copy could not be made."""
    first = error_findings[0]
    return Finding(
        "safety-copy.failed",
        msg("the safety copy could not be made, so what was replaced stays: {reason}", reason=first.message),
        where,
        msg("`runner undo` finds it there; remove it by hand when you are sure that you do not need it"),
    )


def not_removed(error_findings: tuple[Finding, ...], where: str) -> Finding:
    """The warning when nobody needs the original any more, and it could not be removed."""
    return Finding(
        "safety-copy.not-removed",
        msg("what was replaced stays where it is, though nothing needs it: {reason}", reason=error_findings[0].message),
        where,
        msg("remove it by hand"),
    )


def _prove(hashes: dict[Path, str]) -> None:
    """Read every file again and compare."""
    for path, expected in hashes.items():
        if file_sha256(path) != expected:
            raise DumpIncomplete(
                msg("the safety copy does not read back as it was written"),
                where=str(path),
                hint=msg("check the disk and the memory of this machine"),
            )


def file_sha256(path: Path) -> str:
    """Of the whole file, read now. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _copy_of(record: Replaced) -> SafetyCopy:
    paths: list[Path] = []
    if isinstance(record.database, KeptDump | KeptFile):
        paths.append(Path(record.database.path))
    if record.media is not None:
        paths.append(Path(record.media))
    both = record.database is not None and record.media is not None
    variant = Variant.FULL if both else Variant.DB_ONLY if record.database is not None else Variant.MEDIA_ONLY
    return SafetyCopy(record.run_id, _moment(record.run_id), tuple(paths), variant)


def _drop(profile: Profile, run_id: str, kept: KeptOnServer, state: ProfileState) -> None:
    """Drop a database that a restore left on the server, by its identity."""
    if not isinstance(profile.database, PostgresqlConfig):
        return
    names = RunNames(run_id)
    marks = PostgresqlMarks(
        way="swap",
        name=profile.database.name,
        staged_name=kept.name,
        replaced_name=names.replaced_database,
        staged_oid=kept.oid,
    )
    with open_restoration(profile, names, marks, None, state.work_folder(run_id)) as restoration:
        restoration.discard(lambda _marks: None)  # refuses when it is the live one


def _verified_backups(profile: Profile, state: ProfileState) -> list[datetime]:
    """When the last backup was made, if it holds every half and was found whole."""
    last = state.last_backup()
    if last is None or last.variant != profile.natural_variant.value:
        return []
    words = [record.intact for record in state.verified() if record.archive_id == last.archive_id]
    if not words or not words[-1]:
        return []
    with suppress(ValueError):
        return [datetime.fromisoformat(last.created_at).astimezone()]
    return []


def _moment(run_id: str) -> datetime:
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%d_%H%M%S").astimezone()
