"""Which archives a profile has, at which destination, and what is special about each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from runner.archive.legacy import read_legacy
from runner.archive.reader import ArchiveReader, NotAnArchive
from runner.destinations.base import Destination
from runner.errors import (
    ArchiveDamaged,
    ArchiveUnknown,
    DestinationFailed,
    Interrupted,
    Refused,
    RunnerError,
)
from runner.messages import Message, msg
from runner.model.profile import Profile
from runner.model.remembered import Verified
from runner.planning.apply import TIMESTAMP_FIELD
from runner.state import ProfileState
from runner.workflow.places import open_destination
from runner.workflow.reading import reading

_TIMESTAMP = r"(?P<timestamp>\d{8}_\d{6})"


class Mark(StrEnum):
    """What is special about an archive in a list."""

    LEGACY = "legacy"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    FUTURE = "future"
    NEWER_FORMAT = "newer-format"


@dataclass(frozen=True, slots=True)
class Listed:
    """One archive at one destination. `created_at` is aware; None when not even its name tells."""

    name: str
    destination: Destination
    size_bytes: int
    created_at: datetime | None
    archive_id: str | None = None
    variant: str | None = None
    instance: str | None = None
    marks: frozenset[Mark] = frozenset()
    verified_at: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The archives of a profile, newest first, and the destinations that could not be read."""

    archives: tuple[Listed, ...]
    failed: tuple[RunnerError, ...] = field(default=())


def list_archives(profile: Profile, now: datetime) -> Catalogue:
    """Look at every destination. `now` is aware: what claims to be younger is marked. No file breaks the list."""
    found: list[Listed] = []
    failed: list[RunnerError] = []
    # The last word on an archive counts: one that was whole and is damaged now is not verified. By its name too: a
    # copy beside it is another file, and nobody has read that one.
    last_words = {
        (record.archive_id, record.archive_name, record.destination): record
        for record in ProfileState.of(profile).verified()
    }
    for destination in map(open_destination, profile.destinations):
        try:
            for stored in destination.list():
                listed = _look(profile, destination, stored.name, stored.size_bytes, now)
                if listed is not None:
                    word = last_words.get((listed.archive_id or "", listed.name, destination.label))
                    found.append(_with_last_word(listed, word))
        except Interrupted:
            raise
        except RunnerError as error:
            failed.append(error)
    found.sort(key=_age, reverse=True)
    return Catalogue(tuple(found), tuple(failed))


def stored_at(profile: Profile, path: Path, now: datetime) -> Listed | None:
    """The archive of this profile that lies at `path`, if that is at one of its destinations."""
    for destination in map(open_destination, profile.destinations):
        try:
            if Path(destination.locate(path.name)).samefile(path):
                return _look(profile, destination, path.name, path.stat().st_size, now)
        except (OSError, ValueError):
            continue  # not there, or no place on this machine
    return None


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _age(listed: Listed) -> tuple[datetime, int, str, bool]:
    """What archives are sorted by; of the same one at several destinations, a whole copy counts as the newest."""
    whole = not listed.marks & {Mark.DAMAGED, Mark.UNREADABLE}
    return listed.created_at or _LONG_AGO, _number(listed.name), listed.name, whole


def _look(profile: Profile, destination: Destination, name: str, size_bytes: int, now: datetime) -> Listed | None:
    """What a stored file is to this profile; None when it is nothing of its own, or gone meanwhile."""
    named_at = _named_at(profile, name)
    mark: Mark | None
    reader: ArchiveReader | None = None
    try:
        with destination.open(name) as file, reading(destination.locate(name)):
            try:
                reader, mark = ArchiveReader(file, name), None
            except NotAnArchive:
                mark = Mark.LEGACY if named_at is not None and read_legacy(file) is not None else Mark.DAMAGED
    except ArchiveDamaged:
        mark = Mark.DAMAGED
    except Refused:
        mark = Mark.NEWER_FORMAT
    except DestinationFailed:
        mark = Mark.UNREADABLE
    except ArchiveUnknown:
        return None
    if reader is None:
        if named_at is None:
            return None
        return Listed(name, destination, size_bytes, named_at, marks=_marks(mark, named_at, now))
    manifest = reader.manifest
    if manifest.profile != profile.name:
        return None
    foreign = Mark.FOREIGN if manifest.instance != profile.instance else None
    return Listed(
        name,
        destination,
        size_bytes,
        reader.created_at,
        archive_id=manifest.archive_id,
        variant=manifest.variant,
        instance=manifest.instance,
        marks=_marks(foreign, reader.created_at, now),
    )


def _marks(mark: Mark | None, created_at: datetime, now: datetime) -> frozenset[Mark]:
    found = set() if mark is None else {mark}
    if created_at > now:
        found.add(Mark.FUTURE)
    return frozenset(found)


def _with_last_word(listed: Listed, record: Verified | None) -> Listed:
    if record is None:
        return listed
    if record.intact:
        return replace(listed, verified_at=record.verified_at)
    return replace(listed, marks=listed.marks | {Mark.DAMAGED})


def _named_at(profile: Profile, name: str) -> datetime | None:
    """The local time in a name that this profile's pattern makes, `-2` and the like included; None for other names."""
    before, _, after = profile.archive.name.partition(TIMESTAMP_FIELD)
    stem, dot, suffix = after.rpartition(".")
    match = re.fullmatch(f"{re.escape(before)}{_TIMESTAMP}{re.escape(stem)}(-\\d+)?{re.escape(dot + suffix)}", name)
    if match is None:
        return None
    try:
        return datetime.strptime(match["timestamp"], "%Y%m%d_%H%M%S").astimezone()
    except (ValueError, OverflowError, OSError):  # Windows knows no local time before 1970
        return None


def _number(name: str) -> int:
    """The `2` of `…-2.zip`: which of the archives of one second."""
    match = re.search(r"-(\d{1,9})\.[^.]*$", name)
    return 1 if match is None else int(match[1])


def marks_text(listed: Listed) -> Iterator[Message]:
    """The marks in words."""
    words = {
        Mark.LEGACY: msg("legacy: no checksums"),
        Mark.DAMAGED: msg("damaged"),
        Mark.UNREADABLE: msg("cannot be read"),
        Mark.FOREIGN: msg("of another instance: {instance}", instance=listed.instance),
        Mark.FUTURE: msg("dated in the future"),
        Mark.NEWER_FORMAT: msg("made by a newer runner"),
    }
    yield from (words[mark] for mark in Mark if mark in listed.marks)
