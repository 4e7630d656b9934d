"""Opens the archive that a person means, whatever it is, and verifies it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from runner.archive.legacy import LegacyArchive, check_legacy, read_legacy
from runner.archive.reader import ArchiveReader, NotAnArchive
from runner.archive.verify import verify_archive
from runner.errors import ArchiveDamaged, ArchiveUnknown, Finding
from runner.events import Reporter, StageAdvanced, StageEnded, StageStarted
from runner.messages import msg
from runner.model.plan import Action
from runner.model.profile import Profile
from runner.state import ProfileState, Verified
from runner.workflow.catalogue import LATEST, Listed, choose, stored_at
from runner.workflow.reading import is_path, is_there, open_file, reading

_UNPROVEN = "archive.legacy"
_KEEP = msg("if it is the file you mean, keep it, and use another copy or another archive; `runner list` shows them")


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
    """A bare file, with no profile. Raises ArchiveUnknown, ArchiveDamaged, Refused, DestinationFailed."""
    with open_file(path) as file:
        yield _open(file, path.name, str(path), (), None)


@contextmanager
def opened_archive(profile: Profile, wanted: str, now: datetime) -> Iterator[Opened]:
    """The archive that a person means by `wanted`: `latest`, a name at one of the profile's destinations, or a path.

    A name wins over a file of that name here. Raises ArchiveUnknown, ArchiveDamaged, Refused, DestinationFailed.
    """
    found, warnings = _find(profile, wanted, now)
    if isinstance(found, Path):
        with opened_file(found) as opened:
            yield opened
        return
    with found.destination.open(found.name) as file:
        yield _open(file, found.name, found.destination.locate(found.name), warnings, found)


def verify_opened(opened: Opened, reporter: Reporter) -> Checked:
    """Read all of it. Damage is part of the result, not an error. Raises DestinationFailed."""
    reporter(
        StageStarted(Action.VERIFY, msg("read `{name}` and compare every byte", name=opened.name), opened.size_bytes)
    )

    def advance(amount: int) -> None:
        reporter(StageAdvanced(Action.VERIFY, amount))

    with reading(opened.location):
        if opened.reader is None:
            damage = tuple(check_legacy(opened.file, opened.location, advance))
            members = 0 if opened.legacy is None else len(opened.legacy.members)
        else:
            result = verify_archive(opened.reader, advance)
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


def _find(profile: Profile, wanted: str, now: datetime) -> tuple[Listed | Path, tuple[Finding, ...]]:
    if is_path(wanted):
        path = Path(wanted)
        return stored_at(profile, path, now) or path, ()
    try:
        return choose(profile, wanted, now)
    except ArchiveUnknown:
        if wanted == LATEST or not is_there(wanted):
            raise
        return Path(wanted), ()


def _open(file: BinaryIO, name: str, location: str, warnings: tuple[Finding, ...], listed: Listed | None) -> Opened:
    with reading(location):
        try:
            reader = ArchiveReader(file, location)
        except NotAnArchive as error:
            legacy = read_legacy(file)
            if legacy is None:
                raise NotAnArchive(error.message, where=location, hint=_KEEP) from None
            noted = (*(warning for warning in warnings if warning.code != _UNPROVEN), _unproven(location))
            return Opened(name, location, file.seek(0, io.SEEK_END), file, None, legacy, noted, listed)
        except ArchiveDamaged as error:
            raise ArchiveDamaged(error.message, error.damage, where=location, hint=error.hint or _KEEP) from None
    return Opened(name, location, reader.size_bytes, file, reader, None, warnings, listed)


def _unproven(location: str) -> Finding:
    return Finding(
        _UNPROVEN,
        msg("an archive of an older script: it holds no checksums, so nothing can be proven"),
        location,
        msg("make a new backup with `runner apply`"),
    )
