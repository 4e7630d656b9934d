"""Which archives a profile has, at which destination, and which one a person means."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from runner.archive.legacy import read_legacy
from runner.archive.reader import ArchiveReader, NotAnArchive
from runner.destinations.base import Destination
from runner.errors import ArchiveDamaged, ArchiveUnknown, Finding, Refused, RunnerError
from runner.messages import msg
from runner.model.profile import Profile
from runner.planning.apply import TIMESTAMP_FIELD
from runner.state import ProfileState, Verified
from runner.workflow.places import open_destination

LATEST = "latest"
_TIMESTAMP = r"(?P<timestamp>\d{8}_\d{6})"
_SHOWN = 5


class Mark(StrEnum):
    """What is special about an archive in a list."""

    LEGACY = "legacy"
    DAMAGED = "damaged"
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
    """Look at every destination. `now` is aware: what claims to be younger is marked."""
    found: list[Listed] = []
    failed: list[RunnerError] = []
    # The last word on an archive counts: one that was whole and is damaged now is not verified.
    last_words = {
        (record.archive_id, record.destination): record
        for record in ProfileState(profile.state, profile.name).verified()
    }
    for destination in map(open_destination, profile.destinations):
        try:
            for stored in destination.list():
                listed = _look(profile, destination, stored.name, stored.size_bytes, now)
                if listed is not None:
                    found.append(_with_last_word(listed, last_words.get((listed.archive_id or "", destination.label))))
        except RunnerError as error:
            failed.append(error)
    found.sort(key=lambda listed: (listed.created_at or _LONG_AGO, _number(listed.name), listed.name), reverse=True)
    return Catalogue(tuple(found), tuple(failed))


def choose(profile: Profile, wanted: str, now: datetime) -> tuple[Listed, tuple[Finding, ...]]:
    """The archive that `wanted` names: `latest`, or a name at one of the destinations.

    `latest` is the newest of this instance that is not dated in the future, damaged ones included (an older one is
    never taken unasked), and a legacy one only when there is nothing else, which is a warning. Raises ArchiveUnknown.
    """
    catalogue = list_archives(profile, now)
    if wanted != LATEST:
        return _named(catalogue, wanted), ()
    usable = [listed for listed in catalogue.archives if not listed.marks & {Mark.FUTURE, Mark.FOREIGN}]
    own = [listed for listed in usable if Mark.LEGACY not in listed.marks]
    if own:
        return own[0], ()
    if usable:
        warning = Finding(
            "archive.legacy",
            msg("`{name}` is of an older script and has no checksums; there is no other", name=usable[0].name),
            usable[0].destination.label,
        )
        return usable[0], (warning,)
    if catalogue.failed and not catalogue.archives:
        raise catalogue.failed[0]
    raise ArchiveUnknown(
        msg("there is no archive of `{profile}` yet", profile=profile.name),
        where=", ".join(str(destination) for destination in profile.destinations),
        hint=msg("make one with `runner apply {profile}`", profile=profile.name),
    )


def is_file(argument: str) -> bool:
    """Whether a person who writes `argument` means a file on this machine, and not a profile or a stored name."""
    return "/" in argument or "\\" in argument or Path(argument).is_file()


def open_file(path: Path) -> BinaryIO:
    """Open an archive by its path. Raises ArchiveUnknown."""
    try:
        return path.open("rb")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchiveUnknown(
            msg("the archive cannot be opened: {reason}", reason=reason),
            where=str(path),
            hint=msg("check the path and the permissions of the file"),
        ) from None


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _look(profile: Profile, destination: Destination, name: str, size_bytes: int, now: datetime) -> Listed | None:
    """What a stored file is to this profile; None when it is nothing of its own."""
    named_at = _named_at(profile, name)
    with destination.open(name) as file:
        try:
            reader = ArchiveReader(file, name)
        except NotAnArchive:
            if named_at is None:
                return None
            legacy = read_legacy(file)
            mark = Mark.DAMAGED if legacy is None else Mark.LEGACY
            return Listed(name, destination, size_bytes, named_at, marks=_marks(mark, named_at, now))
        except (ArchiveDamaged, Refused) as error:
            if named_at is None:
                return None
            mark = Mark.NEWER_FORMAT if isinstance(error, Refused) else Mark.DAMAGED
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
    except (ValueError, OverflowError):
        return None


def _number(name: str) -> int:
    """The `2` of `…-2.zip`: which of the archives of one second."""
    match = re.search(r"-(\d{1,9})\.[^.]*$", name)
    return 1 if match is None else int(match[1])


def _named(catalogue: Catalogue, wanted: str) -> Listed:
    for listed in catalogue.archives:
        if listed.name == wanted:
            return listed
    names = list(dict.fromkeys(listed.name for listed in catalogue.archives))
    close = difflib.get_close_matches(wanted, names, 1, 0.8) or names[:_SHOWN]
    hint = msg("the closest or newest are {names}", names=_quoted(close)) if close else msg("there is none yet")
    raise ArchiveUnknown(msg("there is no archive `{name}`", name=wanted), hint=hint)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def marks_text(listed: Listed) -> Iterator[str]:
    """The marks in words."""
    words = {
        Mark.LEGACY: "legacy: no checksums",
        Mark.DAMAGED: "damaged",
        Mark.FOREIGN: f"of another instance: {listed.instance}",
        Mark.FUTURE: "dated in the future",
        Mark.NEWER_FORMAT: "made by a newer runner",
    }
    yield from (words[mark] for mark in Mark if mark in listed.marks)
