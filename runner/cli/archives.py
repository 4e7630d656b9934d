"""The work of `runner list` and `runner verify`, and how both find the archive that is meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.cli.moments import moment_text, noted_text
from runner.cli.profiles import load_profile
from runner.cli.progress import reporter
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import size_text, table, wrapped
from runner.errors import ArchiveDamaged, ExitCode, Finding, UsageError, exit_code_of
from runner.messages import Message, counted, msg
from runner.model.profile import Profile
from runner.workflow.archives import (
    Checked,
    Opened,
    opened_archive,
    opened_file,
    record_verification,
    verify_opened,
)
from runner.workflow.catalogue import Listed, list_archives, marks_text
from runner.workflow.choosing import LATEST, Wanted
from runner.workflow.reading import is_path, is_there

Arguments = tuple[str, str]
"""The two arguments PROFILE|FILE and ARCHIVE."""


def list_outcome(settings: Settings, name: str) -> Outcome:
    """Destinations that failed are errors; what the others hold is listed all the same."""
    profile = load_profile(settings, name, ask=False)
    catalogue = list_archives(profile, _now())
    several = len(profile.destinations) > 1
    lines = _list_lines(profile, catalogue.archives, several=several)
    if catalogue.failed and not catalogue.archives:
        lines = iter(())  # nobody knows whether there are any
    return Outcome(
        {"profile": profile.name, "archives": [_listed_data(listed) for listed in catalogue.archives]},
        tuple(lines),
        errors=tuple(finding for error in catalogue.failed for finding in error.findings),
        exit_code=exit_code_of(catalogue.failed[0]) if catalogue.failed else ExitCode.DONE,
    )


def verify_outcome(settings: Settings, wanted: Arguments) -> Outcome:
    """Exit code 13 with every place that differs."""
    try:
        with wanted_archive(settings, wanted) as (profile, opened), reporter(settings) as report:
            checked = verify_opened(opened, report, profile)
            warnings = list(checked.warnings)
            if profile is not None:
                warnings += _remember(profile, opened, checked)
    except ArchiveDamaged as error:  # so badly that there is no manifest to check anything against
        return Outcome(_verified_data(None, error.where), (), (), error.findings, ExitCode.INTEGRITY)
    data = _verified_data(checked, checked.location)
    if not checked.damage:
        return Outcome(data, tuple(wrapped(_proof_text(checked).localized(), "  ")), tuple(warnings))
    damaged = ArchiveDamaged(
        msg("the archive is damaged; places that differ: {count}", count=len(checked.damage)),
        checked.damage,
        where=checked.location,
        hint=msg("keep it, and restore from another copy or another archive; `runner list` shows them"),
    )
    return Outcome(data, (), tuple(warnings), damaged.findings, ExitCode.INTEGRITY)


@contextmanager
def wanted_archive(settings: Settings, wanted: Arguments) -> Iterator[tuple[Profile | None, Opened]]:
    """The archive that the arguments name, open. Raises UsageError, ArchiveUnknown, ArchiveDamaged."""
    first, archive = wanted
    profile = _profile(settings, first)
    if profile is not None:
        with opened_archive(profile, Wanted(archive), _now()) as opened:
            yield profile, opened
        return
    if archive != LATEST:
        raise UsageError(
            msg("`{file}` is one archive: leave out `{archive}`", file=first, archive=archive),
            hint=msg("or name a profile, and then one of its archives"),
        )
    with opened_file(Path(first)) as opened:
        yield None, opened


def _profile(settings: Settings, argument: str) -> Profile | None:
    """The profile of that name; None where a file is meant. A profile wins over a file of its name here."""
    if is_path(argument) or argument.lower().endswith(".zip"):
        return None
    try:
        return load_profile(settings, argument, ask=False)
    except UsageError:  # no such profile, or no backup.yml
        if is_there(argument):
            return None
        raise


def _verified_data(checked: Checked | None, location: str | None) -> dict[str, Any]:
    """What `runner verify` tells programs; the same keys whatever was found."""
    return {
        "archive": checked.name if checked is not None else None if location is None else Path(location).name,
        "location": location,
        "intact": checked is not None and not checked.damage,
        "legacy": checked is not None and checked.legacy,
        "members": None if checked is None else checked.members,
        "size_bytes": None if checked is None else checked.size_bytes,
    }


def _proof_text(checked: Checked) -> Message:
    members = counted("{count} member", "{count} members", checked.members)
    place, size = checked.location, size_text(checked.size_bytes)
    if checked.legacy:
        return msg("{place}: every CRC is right ({members}, {size})", place=place, members=members, size=size)
    return msg("{place}: every byte is as it was written ({members}, {size})", place=place, members=members, size=size)


def _remember(profile: Profile, opened: Opened, checked: Checked) -> list[Finding]:
    try:
        record_verification(profile, opened, checked)
    except OSError as error:
        reason = error.strerror or str(error)
        message = msg("the state folder could not note the verification: {reason}", reason=reason)
        return [Finding("state.not-recorded", message, str(profile.state))]
    return []


def _list_lines(profile: Profile, archives: tuple[Listed, ...], *, several: bool) -> Iterator[str]:
    if not archives:
        yield from wrapped(msg("There is no archive of {profile} yet.", profile=profile.name).localized(), "  ")
        return
    heads = [msg("Archive"), msg("Made"), msg("Variant"), msg("Size"), msg("Verified"), msg("Note")]
    if several:
        heads.append(msg("Destination"))
    yield from table([head.localized() for head in heads], [_row(listed, several=several) for listed in archives])


def _row(listed: Listed, *, several: bool) -> list[str]:
    made = "" if listed.created_at is None else moment_text(listed.created_at)
    verified = "-" if listed.verified_at is None else noted_text(listed.verified_at)
    cells = [listed.name, made, listed.variant or "?", size_text(listed.size_bytes), verified]
    marks = ", ".join(mark.localized() for mark in marks_text(listed))
    return [*cells, marks, *([listed.destination.label] if several else [])]


def _listed_data(listed: Listed) -> dict[str, Any]:
    return {
        "name": listed.name,
        "destination": listed.destination.label,
        "location": listed.destination.locate(listed.name),
        "size_bytes": listed.size_bytes,
        "created_at": None if listed.created_at is None else listed.created_at.isoformat(),
        "archive_id": listed.archive_id,
        "variant": listed.variant,
        "instance": listed.instance,
        "verified_at": listed.verified_at,
        "marks": sorted(mark.value for mark in listed.marks),
    }


def _now() -> datetime:
    return datetime.now().astimezone()
