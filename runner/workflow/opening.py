"""The archive that a restore is about: found, opened, verified, and held against the profile it goes into."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from runner.errors import ArchiveDamaged, Finding
from runner.events import Logged, Reporter
from runner.messages import msg
from runner.model.manifest import PostgresqlRecord
from runner.model.marks import RunNames
from runner.model.profile import PostgresqlConfig, Profile, Variant
from runner.workflow.archives import (
    Checked,
    Opened,
    damaged,
    find_archive,
    opened_found,
    record_verification,
    verify_opened,
)
from runner.workflow.choosing import Wanted
from runner.workflow.incoming import inspect_opened, survey_opened
from runner.workflow.sources import ArchiveSource


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What a person asked for. `names` and `now` were fixed before the first step."""

    profile: Profile
    wanted: Wanted
    names: RunNames
    now: datetime
    variant: Variant | None = None
    accept_damage: bool = False
    safety_copy: bool = True
    trust_sql: bool = False


@contextmanager
def opened_source(
    request: RestoreRequest, reporter: Reporter
) -> Iterator[tuple[ArchiveSource, tuple[Finding, ...], tuple[Finding, ...]]]:
    """The archive, verified: its content as a source, what was odd about it, and what is lost with its damage."""
    found = find_archive(request.profile, request.wanted, request.now)
    try:
        with opened_found(found) as opened:
            inspect_opened(opened)
            checked = verify_opened(opened, reporter)
            _note_verification(request.profile, opened, checked, reporter)
            skip: frozenset[str] = frozenset()
            lost: tuple[Finding, ...] = ()
            if checked.damage:
                error = ArchiveDamaged(
                    msg("the archive is damaged; places that differ: {count}", count=len(checked.damage)),
                    checked.damage,
                    where=checked.location,
                )
                if not request.accept_damage:
                    raise error
                skip, lost = _accepted(request, opened)
            foreign = _foreign(request.profile, opened)
            yield ArchiveSource(opened, skip), (*checked.warnings, *foreign), lost
    except ArchiveDamaged as error:
        raise damaged(request.profile, request.now, found, error, reporter) from None


def _accepted(request: RestoreRequest, opened: Opened) -> tuple[frozenset[str], tuple[Finding, ...]]:
    damage = survey_opened(opened)
    variant = request.variant or request.profile.natural_variant
    halves = ((variant.has_database, damage.database, "database"), (variant.has_media, damage.media, "media"))
    for wanted, condition, name in halves:
        if wanted and condition.value == "lost":
            raise ArchiveDamaged(
                msg("the {half} of this archive cannot be restored at all", half=name),
                damage.lost,
                where=opened.location,
                hint=msg("restore the other half alone with `--variant`, or take another archive"),
            )
    return damage.skip, damage.lost


def _note_verification(profile: Profile, opened: Opened, checked: Checked, reporter: Reporter) -> None:
    try:
        record_verification(profile, opened, checked)
    except OSError as error:
        reporter(Logged(msg("the verification could not be noted: {reason}", reason=error.strerror or str(error))))


def _foreign(profile: Profile, opened: Opened) -> Iterator[Finding]:
    """What makes this archive somebody else's; each of it is asked about."""
    manifest = None if opened.reader is None else opened.reader.manifest
    if manifest is None:
        return
    database = manifest.database.name if isinstance(manifest.database, PostgresqlRecord) else None
    live = profile.database.name if isinstance(profile.database, PostgresqlConfig) else None
    pairs = (
        ("profile", manifest.profile, profile.name),
        ("instance", manifest.instance, profile.instance),
        ("host", manifest.host, platform.node()),
        ("database", database, live),
    )
    for what, theirs, ours in pairs:
        if theirs is not None and ours is not None and theirs != ours:
            message = msg(
                "the archive is of the {what} `{theirs}`, and this is `{ours}`", what=what, theirs=theirs, ours=ours
            )
            yield Finding("restore.foreign", message, opened.location)
