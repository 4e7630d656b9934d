"""Opens the archive that a person means, whatever it is, and verifies it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from runner.archive import layout
from runner.archive.legacy import LegacyArchive, read_legacy, test_legacy
from runner.archive.reader import ArchiveReader, NotAnArchive
from runner.archive.verify import verify_archive
from runner.errors import Finding
from runner.events import Reporter, StageAdvanced, StageEnded, StageStarted
from runner.messages import msg
from runner.model.plan import Action
from runner.model.profile import Profile
from runner.state import ProfileState, Verified
from runner.workflow.catalogue import Listed, choose, open_file


@dataclass(frozen=True, slots=True)
class Opened:
    """An open archive: one of ours (`reader`) or one of the old scripts (`legacy`), never both."""

    name: str
    location: str
    size_bytes: int
    file: BinaryIO
    reader: ArchiveReader | None
    legacy: LegacyArchive | None
    warnings: tuple[Finding, ...] = ()
    listed: Listed | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verification found. `damage` empty: every byte is as it was written (legacy: as far as a CRC tells)."""

    name: str
    location: str
    members: int
    size_bytes: int
    legacy: bool
    damage: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@contextmanager
def opened_file(path: Path) -> Iterator[Opened]:
    """A bare file, with no profile. Raises ArchiveUnknown, ArchiveDamaged, Refused."""
    with open_file(path) as file:
        yield _open(file, path.name, str(path), (), None)


@contextmanager
def opened_archive(profile: Profile, wanted: str, now: datetime) -> Iterator[Opened]:
    """An archive at one of the profile's destinations. Raises ArchiveUnknown, ArchiveDamaged, Refused."""
    listed, warnings = choose(profile, wanted, now)
    with listed.destination.open(listed.name) as file:
        yield _open(file, listed.name, listed.destination.locate(listed.name), warnings, listed)


def verify_opened(opened: Opened, reporter: Reporter) -> Checked:
    """Read all of it. Damage is part of the result, not an error."""
    reporter(
        StageStarted(Action.VERIFY, msg("read `{name}` and compare every byte", name=opened.name), opened.size_bytes)
    )
    if opened.reader is None:
        damage = tuple(test_legacy(opened.file, opened.name))
        members = 0 if opened.legacy is None else len(opened.legacy.members)
    else:
        result = verify_archive(opened.reader, lambda amount: reporter(StageAdvanced(Action.VERIFY, amount)))
        damage, members = tuple(result.damage), result.members
    reporter(StageEnded(Action.VERIFY))
    legacy = opened.reader is None
    return Checked(opened.name, opened.location, members, opened.size_bytes, legacy, damage, opened.warnings)


def record_verification(profile: Profile, opened: Opened, checked: Checked) -> None:
    """Keep the result in the state folder. Raises OSError."""
    if opened.reader is None or opened.listed is None:
        return
    ProfileState(profile.state, profile.name).record_verified(
        Verified(
            archive_id=opened.reader.manifest.archive_id,
            archive_name=opened.name,
            destination=opened.listed.destination.label,
            verified_at=datetime.now(UTC).isoformat(timespec="seconds"),
            intact=not checked.damage,
        )
    )


def _open(file: BinaryIO, name: str, location: str, warnings: tuple[Finding, ...], listed: Listed | None) -> Opened:
    try:
        reader = ArchiveReader(file, name)
    except NotAnArchive:
        size = file.seek(0, 2)
        file.seek(max(0, size - layout.TAIL_LENGTH - 1024))
        legacy = None if layout.claims_to_be_ours(file.read()) else read_legacy(file)
        if legacy is None:
            raise
        note = Finding(
            "archive.legacy",
            msg("an archive of an older script: it holds no checksums, so nothing can be proven"),
            name,
            msg("make a new backup with `runner apply`"),
        )
        kept = tuple(warning for warning in warnings if warning.code != note.code)
        return Opened(name, location, size, file, None, legacy, (*kept, note), listed)
    return Opened(name, location, reader.size_bytes, file, reader, None, warnings, listed)
