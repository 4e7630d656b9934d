"""The archive that a restore is about: found, opened, verified, and held against the profile it goes into."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from runner.errors import ArchiveDamaged, Finding, Refused
from runner.events import Logged, Reporter
from runner.messages import msg
from runner.model.manifest import PostgresqlRecord
from runner.model.marks import RunNames
from runner.model.plan import RestorePlan
from runner.model.profile import PostgresqlConfig, Profile, Variant
from runner.planning.restore import RestoreWish, plan_restore
from runner.state import ProfileState
from runner.workflow.archives import (
    Checked,
    Opened,
    damaged,
    find_archive,
    opened_found,
    record_verification,
    verify_opened,
)
from runner.workflow.catalogue import list_archives
from runner.workflow.choosing import Wanted
from runner.workflow.incoming import inspect_opened, survey_opened
from runner.workflow.inspection import Circumstances
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


_ACCEPT = msg("`--accept-damage` restores what is left of this one, and lists what is lost")


@contextmanager
def opened_source(
    request: RestoreRequest, reporter: Reporter
) -> Iterator[tuple[ArchiveSource, tuple[Finding, ...], tuple[Finding, ...]]]:
    """The archive, verified: its content as a source, what was odd about it, and what is lost with its damage."""
    found = find_archive(request.profile, request.wanted, request.now)
    try:
        with opened_found(found) as opened:
            inspect_opened(opened)
            checked = verify_opened(opened, reporter, request.profile)
            _note_verification(request.profile, opened, checked, reporter)
            skip: frozenset[str] = frozenset()
            lost: tuple[Finding, ...] = ()
            if checked.damage:
                error = ArchiveDamaged(
                    msg("the archive is damaged; places that differ: {count}", count=len(checked.damage)),
                    checked.damage,
                    where=checked.location,
                    hint=None if checked.legacy else _ACCEPT,
                )
                if not request.accept_damage:
                    raise error
                skip, lost = _accepted(request, opened)
            odd = (*checked.warnings, *_damaged_places(request.profile, checked), *_foreign(request.profile, opened))
            yield ArchiveSource(opened, skip), odd, lost
    except ArchiveDamaged as error:
        raise damaged(request.profile, request.now, found, error, reporter, request.variant) from None


def planned(request: RestoreRequest, source: ArchiveSource) -> RestorePlan:
    """The plan of a restore. Raises Refused, with the newest archive that could serve the wish, where there is one."""
    compared = source.record is not None
    wish = RestoreWish("restore", source.label, request.variant, request.safety_copy, compared)
    try:
        return plan_restore(request.profile, source.offered, wish, request.names)
    except Refused as error:
        raise _with_another(error, request, wish) from None


def circumstances_of(
    request: RestoreRequest,
    plan: RestorePlan,
    source: ArchiveSource,
    found: tuple[Finding, ...],
    lost: tuple[Finding, ...],
) -> Circumstances:
    """What the preflight has to know: `found` with the half that nobody left out by name, and whose SQL it is."""
    state = ProfileState.of(request.profile)
    trusted = request.trust_sql or (source.archive_id is not None and state.has_made(source.archive_id))
    return Circumstances(trusted, (*found, *_left_as_it_is(request, plan, source)), lost)


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


def _damaged_places(profile: Profile, checked: Checked) -> Iterator[Finding]:
    """Damage that was accepted, also where nothing of the application is lost with it."""
    if not checked.damage:
        return
    message = msg(
        "places of the archive that are damaged, and accepted: {count}; the first: {first}",
        count=len(checked.damage),
        first=checked.damage[0].message,
    )
    hint = msg("`runner verify {profile} {name}` lists them all", profile=profile.name, name=checked.name)
    yield Finding("restore.damage", message, checked.location, hint)


def _left_as_it_is(request: RestoreRequest, plan: RestorePlan, source: ArchiveSource) -> Iterator[Finding]:
    """The half that the archive does not hold, unless a person left it out by name."""
    if request.variant is not None or plan.variant is plan.profile.natural_variant:
        return
    hint = msg("say `--variant {variant}` if that is what you want", variant=plan.variant.value)
    if plan.variant is Variant.DB_ONLY:
        message = msg("the archive holds no media, so those of `{profile}` stay as they are", profile=plan.profile.name)
    else:
        message = msg("the archive holds no database, so that of `{profile}` stays", profile=plan.profile.name)
    yield Finding("restore.one-half", message, source.label, hint)


def _with_another(error: Refused, request: RestoreRequest, wish: RestoreWish) -> Refused:
    """`error`, with the newest archive that could serve the wish, where there is one; none is taken unasked."""
    for listed in list_archives(request.profile, request.now).archives:
        if listed.marks or listed.variant is None:
            continue
        try:
            plan_restore(request.profile, Variant(listed.variant), wish, request.names)
        except (Refused, ValueError):
            continue
        hint = msg(
            "{hint}; the newest that would do: `runner restore {profile} {name}{variant}`",
            hint=error.hint,
            profile=request.profile.name,
            name=listed.name,
            variant="" if request.variant is None else f" --variant {request.variant.value}",
        )
        return Refused(error.message, where=error.where, hint=hint)
    return error


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
