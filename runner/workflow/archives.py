"""Opens the archive that a person means, whatever it is, and verifies it."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from runner.archive.legacy import LegacyArchive, check_legacy, read_legacy
from runner.archive.reader import ArchiveReader, NotAnArchive
from runner.archive.verify import verify_archive
from runner.errors import ArchiveDamaged, ArchiveUnknown, Finding, Interrupted, RunnerError
from runner.events import Reporter, StageAdvanced, StageEnded, StageStarted, silent
from runner.messages import Message, msg
from runner.model.plan import Action
from runner.model.profile import LocalDestination, Profile, Variant
from runner.model.remembered import Verified
from runner.state import ProfileState
from runner.workflow.catalogue import Listed, stored_at
from runner.workflow.choosing import LATEST, Wanted, choose, good_candidates, is_pattern
from runner.workflow.politeness import lanes_of, make_way
from runner.workflow.reading import is_path, is_there, open_file, reading

MOST_TRIED = 5
"""How many archives are read in search of a whole one."""

_UNPROVEN = "archive.legacy"
_KEEP = msg("if it is the file you mean, keep it, and use another copy or another archive; `runner list` shows them")

_SALVAGE = msg(
    "keep it, and use another copy or another archive; `runner list` shows them. If it is the last one: without its "
    "manifest nothing of it can be checked, so it is not restored; `zip -FF FILE --out OTHER.zip` and `unzip` get out "
    "what is readable, in an empty folder, and RESTORE.txt in it, if it is there, says how to go on by hand"
)


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


@dataclass(frozen=True, slots=True)
class Found:
    """The archive that a person means: at a destination, or a bare file. `warnings`: what was odd about choosing it."""

    place: Listed | Path
    warnings: tuple[Finding, ...] = ()


def find_archive(profile: Profile, wanted: Wanted, now: datetime) -> Found:
    """What `wanted` means: `latest`, a name or a pattern of names at the profile's destinations, a time, or a path.

    A pattern with a folder before it means the newest archive in that folder that it matches.

    A name wins over a file of that name here. Raises ArchiveUnknown, UsageError, DestinationFailed.
    """
    if is_path(wanted.text):
        path = Path(wanted.text)
        if is_pattern(path.name) and not is_there(wanted.text):
            folder = LocalDestination(Path(os.path.abspath(path.parent)))  # noqa: PTH100 - links stay
            return Found(*choose(replace(profile, destinations=(folder,)), replace(wanted, text=path.name), now))
        return _at_path(profile, wanted, now)
    try:
        return Found(*choose(profile, wanted, now))
    except ArchiveUnknown:
        if wanted.text == LATEST or not is_there(wanted.text):
            raise
        return _at_path(profile, wanted, now)


@contextmanager
def opened_found(found: Found) -> Iterator[Opened]:
    """Open it. Raises ArchiveUnknown, ArchiveDamaged, Refused, DestinationFailed."""
    if isinstance(found.place, Path):
        with opened_file(found.place) as opened:
            yield opened
        return
    name, destination = found.place.name, found.place.destination
    with destination.open(name) as file:
        yield _open(file, name, destination.locate(name), found.warnings, found.place)


@contextmanager
def opened_archive(profile: Profile, wanted: Wanted, now: datetime) -> Iterator[Opened]:
    """Both in one. Raises ArchiveUnknown, ArchiveDamaged, UsageError, Refused, DestinationFailed."""
    with opened_found(find_archive(profile, wanted, now)) as opened:
        yield opened


def verify_opened(opened: Opened, reporter: Reporter, profile: Profile | None = None) -> Checked:
    """Read all of it, with as much of the machine as the profile says.

    Damage is part of the result, not an error. Raises DestinationFailed.
    """
    make_way(profile, reporter)
    title = msg("read `{name}` and compare every byte", name=opened.name)
    total = opened.size_bytes if opened.reader is None else opened.reader.ending.directory_offset
    reporter(StageStarted(Action.VERIFY, title, total))

    def advance(amount: int) -> None:
        reporter(StageAdvanced(Action.VERIFY, amount))

    with reading(opened.location):
        if opened.reader is None:
            damage = tuple(check_legacy(opened.file, opened.location, advance))
            members = 0 if opened.legacy is None else len(opened.legacy.members)
        else:
            result = verify_archive(opened.reader, advance, lanes_of(profile))
            damage, members = tuple(result.damage), result.members
    reporter(StageEnded(Action.VERIFY))
    legacy = opened.reader is None
    return Checked(opened.name, opened.location, members, opened.size_bytes, legacy, damage, opened.warnings)


def record_verification(profile: Profile, opened: Opened, checked: Checked) -> None:
    """Keep the result in the state folder. Raises OSError."""
    if opened.reader is None or opened.listed is None:
        return
    ProfileState.of(profile).record_verified(
        Verified(
            archive_id=opened.reader.manifest.archive_id,
            archive_name=opened.name,
            destination=opened.listed.destination.label,
            verified_at=datetime.now(UTC).isoformat(timespec="seconds"),
            intact=not checked.damage,
        )
    )


def newest_good(
    profile: Profile, now: datetime, than: Listed, reporter: Reporter = silent, wanted: Variant | None = None
) -> Listed | None:
    """The newest archive other than `than` that is whole, read to its last byte; None when the newest ones are not.

    It holds every half that is `wanted`, or that `than` holds. At most `MOST_TRIED` are read: each may be large,
    and a person waits. What is found is kept in the state folder where that can be written. Never raises for an
    archive or a destination that cannot be read.
    """
    if wanted is None:
        wanted = profile.natural_variant if than.variant is None else Variant(than.variant)
    for listed in islice(good_candidates(profile, now, than, wanted), MOST_TRIED):
        try:
            with opened_found(Found(listed)) as opened:
                checked = verify_opened(opened, reporter, profile)
                with suppress(OSError):
                    record_verification(profile, opened, checked)
                if opened.reader is not None and not checked.damage:
                    return listed
        except Interrupted:
            raise
        except RunnerError:
            continue
    return None


def damaged(
    profile: Profile,
    now: datetime,
    found: Found,
    error: ArchiveDamaged,
    reporter: Reporter = silent,
    wanted: Variant | None = None,
) -> ArchiveDamaged:
    """`error` as a restore tells it: its hint names the newest archive that is whole, which is never taken unasked.

    `wanted`: the halves that it must hold; by default those of the damaged one.
    """
    if isinstance(found.place, Path):
        return error
    good = newest_good(profile, now, found.place, reporter, wanted)
    if good is None:
        hint = msg(
            "none of the newest others is whole (up to {count} that hold as much were read): keep this one, and look "
            "for a copy of it elsewhere; `runner verify {profile} NAME` checks older ones",
            count=MOST_TRIED,
            profile=profile.name,
        )
    else:
        is_copy = good.name == found.place.name
        hint = msg(
            "the newest that is whole is {location}: `runner restore {profile} {wanted}`",
            location=good.destination.locate(good.name),
            profile=profile.name,
            wanted=good.destination.locate(good.name) if is_copy else good.name,
        )
    if error.damage and error.hint is not None:
        hint = msg("{others}; {this}", others=hint, this=error.hint)
    return ArchiveDamaged(error.message, error.damage, where=error.where, hint=hint)


def _at_path(profile: Profile, wanted: Wanted, now: datetime) -> Found:
    wanted.refuse_a_time()
    path = Path(wanted.text)
    return Found(stored_at(profile, path, now) or path)


def _open(file: BinaryIO, name: str, location: str, warnings: tuple[Finding, ...], listed: Listed | None) -> Opened:
    with reading(location):
        try:
            reader = ArchiveReader(file, location)
        except NotAnArchive as error:
            legacy = read_legacy(file)
            if legacy is None:
                raise NotAnArchive(error.message, where=location, hint=_hint_by_hand(file)) from None
            noted = (*(warning for warning in warnings if warning.code != _UNPROVEN), _unproven(location))
            return Opened(name, location, file.seek(0, io.SEEK_END), file, None, legacy, noted, listed)
        except ArchiveDamaged as error:
            hint = error.hint or _hint_by_hand(file)
            raise ArchiveDamaged(error.message, error.damage, where=location, hint=hint) from None
    return Opened(name, location, reader.size_bytes, file, reader, None, warnings, listed)


def _hint_by_hand(file: BinaryIO) -> Message:
    """What is left to do with a file whose manifest cannot be read: nothing of it can be proven."""
    file.seek(0)
    return _SALVAGE if file.read(4) == b"PK\3\4" else _KEEP


def _unproven(location: str) -> Finding:
    return Finding(
        _UNPROVEN,
        msg("an archive of an older script: it holds no checksums, so nothing can be proven"),
        location,
        msg("make a new backup with `runner apply`"),
    )
