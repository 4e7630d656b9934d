"""The last part of a backup: the sealed archive goes to every destination, is read again there, and is remembered."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from runner.archive.reader import ArchiveReader
from runner.archive.verify import verify_archive
from runner.destinations.base import Destination
from runner.errors import ArchiveDamaged, DestinationFailed, Finding, RunnerError, raise_all
from runner.events import Reporter, StageAdvanced, StageEnded, StageStarted
from runner.messages import msg
from runner.model.manifest import Manifest, PostgresqlRecord, SqliteRecord
from runner.model.plan import Action, Plan
from runner.model.remembered import LastBackup, Verified
from runner.model.report import Placed
from runner.state import ProfileState, Workspace
from runner.workflow.politeness import lanes_of


class Delivery:
    """One archive on its way to all destinations."""

    def __init__(self, plan: Plan, state: ProfileState, workspace: Workspace, reporter: Reporter) -> None:
        self._profile = plan.profile
        self._state = state
        self._workspace = workspace
        self._reporter = reporter

    def put(
        self, sealed: Path, name: str, destinations: list[Destination], manifest: Manifest
    ) -> tuple[tuple[Placed, ...], tuple[Finding, ...]]:
        """Every destination gets its copy; one that fails takes nothing from the others.

        Returns what was placed, and a finding for each destination that failed. Raises when all of them did.
        """
        verify = _Verify(name, lanes_of(self._profile), self._reporter) if self._profile.archive.verify else None
        placed: list[Placed] = []
        failed: list[RunnerError] = []
        verified: list[Verified] = []
        for destination in destinations:
            self._reporter(StageStarted(Action.PUT, msg("put the archive into {place}", place=destination.label)))
            try:
                given = destination.put(sealed, name, verify, self._workspace.note_partial)
            except (DestinationFailed, ArchiveDamaged) as error:
                failed.append(error)
                continue
            location = Path(destination.locate(given))
            placed.append(Placed(destination.label, location, sealed.stat().st_size, verified=verify is not None))
            if verify is not None:
                verified.append(Verified(manifest.archive_id, given, destination.label, _now(), intact=True))
            self._reporter(StageEnded(Action.PUT))
        if not placed:
            raise_all(failed)
        findings = [finding for error in failed for finding in error.findings]
        try:
            self._remember(manifest, placed[0], verified)
        except OSError as error:
            findings.append(_not_remembered(error, self._profile.state))
        return tuple(placed), tuple(findings)

    def _remember(self, manifest: Manifest, placed: Placed, verified: list[Verified]) -> None:
        """What the next backup compares itself with; a half that this one did not hold keeps its old figure."""
        self._state.record_made(manifest.archive_id)
        for record in verified:
            self._state.record_verified(record)
        last = self._state.last_backup()
        tables = None if manifest.database is None else len(manifest.database.tables)
        files = None if manifest.media is None else manifest.media.files
        dump = _dump_bytes(manifest)
        is_whole = manifest.variant == self._profile.natural_variant.value and not self._profile.elsewhere
        self._state.remember(
            LastBackup(
                archive_id=manifest.archive_id,
                archive_name=placed.path.name,
                created_at=manifest.created_at,
                variant=manifest.variant,
                tables=tables if tables is not None or last is None else last.tables,
                media_files=files if files is not None or last is None else last.media_files,
                dump_bytes=dump if dump is not None or last is None else last.dump_bytes,
                archive_bytes=placed.size_bytes,
                whole_at=manifest.created_at if is_whole else None if last is None else last.whole_at,
            )
        )


def _dump_bytes(manifest: Manifest) -> int | None:
    """What the database gave, unpacked."""
    match manifest.database:
        case PostgresqlRecord(tables=tables, large_objects=large_objects):
            return sum(table.size for table in tables) + large_objects.size
        case SqliteRecord(size=size):
            return size
    return None


def _not_remembered(error: OSError, state: Path) -> Finding:
    """The archive is in its place and whole; only the notes about it are missing."""
    return Finding(
        "state.not-recorded",
        msg(
            "the backup is done, but the state folder could not note it: {reason}", reason=error.strerror or str(error)
        ),
        str(state),
        msg("check the free space and the permissions of the state folder"),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Verify:
    """Re-reads a sealed archive; the same bytes under two names are read once."""

    def __init__(self, name: str, lanes: int, reporter: Reporter) -> None:
        self._name = name
        self._lanes = lanes
        self._reporter = reporter
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, file: BinaryIO) -> None:
        """Raises ArchiveDamaged."""
        identity = _identity(file)
        if identity is not None and identity in self._seen:
            return
        reader = ArchiveReader(file, self._name)
        self._reporter(StageStarted(Action.VERIFY, msg("read the archive again"), reader.ending.directory_offset))
        verification = verify_archive(reader, self._advance, self._lanes)
        if not verification.intact:
            raise ArchiveDamaged(
                msg("the archive that was just written does not read back as it was written"),
                verification.damage,
                where=self._name,
                hint=msg("check the disk and the memory of this machine, then run the backup again"),
            )
        self._reporter(StageEnded(Action.VERIFY))
        if identity is not None:
            self._seen.add(identity)

    def _advance(self, amount: int) -> None:
        self._reporter(StageAdvanced(Action.VERIFY, amount))


def _identity(file: BinaryIO) -> tuple[int, int] | None:
    """Which file of which disk this is; None for a stream that is no local file."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino
