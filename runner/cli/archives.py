"""The work of `runner list` and `runner verify`, and how both find the archive that is meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.cli.profiles import load_profile
from runner.cli.progress import reporter
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import count_text, size_text, table, wrapped
from runner.errors import ArchiveDamaged, ExitCode, Finding, UsageError, exit_code_of
from runner.messages import msg
from runner.model.profile import Profile
from runner.workflow.archives import (
    Checked,
    Opened,
    opened_archive,
    opened_file,
    record_verification,
    verify_opened,
)
from runner.workflow.catalogue import LATEST, Listed, is_file, list_archives, marks_text

Wanted = tuple[str, str]
"""The two arguments PROFILE|FILE and ARCHIVE."""


def list_outcome(settings: Settings, name: str) -> Outcome:
    """Destinations that failed are errors; what the others hold is listed all the same."""
    profile = load_profile(settings, name)
    catalogue = list_archives(profile, _now())
    several = len(profile.destinations) > 1
    return Outcome(
        {"profile": profile.name, "archives": [_listed_data(listed) for listed in catalogue.archives]},
        tuple(_list_lines(profile, catalogue.archives, several=several)),
        errors=tuple(finding for error in catalogue.failed for finding in error.findings),
        exit_code=exit_code_of(catalogue.failed[0]) if catalogue.failed else ExitCode.DONE,
    )


def verify_outcome(settings: Settings, wanted: Wanted) -> Outcome:
    """Exit code 13 with every place that differs."""
    with wanted_archive(settings, wanted) as (profile, opened), reporter(settings) as report:
        checked = verify_opened(opened, report)
        warnings = list(checked.warnings)
        if profile is not None:
            warnings += _remember(profile, opened, checked)
    data = {
        "archive": checked.name,
        "location": checked.location,
        "intact": not checked.damage,
        "legacy": checked.legacy,
        "members": checked.members,
        "size_bytes": checked.size_bytes,
    }
    if not checked.damage:
        proof = "every CRC is right" if checked.legacy else "every byte is as it was written"
        members = count_text(checked.members, "member", "members")
        line = f"{checked.name}: {proof} ({members}, {size_text(checked.size_bytes)})"
        return Outcome(data, tuple(wrapped(line, "  ")), tuple(warnings))
    error = ArchiveDamaged(
        msg("the archive is damaged; places that differ: {count}", count=len(checked.damage)),
        checked.damage,
        where=checked.location,
        hint=msg("keep it, and restore from another copy or another archive; `runner list` shows them"),
    )
    return Outcome(data, (), tuple(warnings), error.findings, ExitCode.INTEGRITY)


@contextmanager
def wanted_archive(settings: Settings, wanted: Wanted) -> Iterator[tuple[Profile | None, Opened]]:
    """The archive that the arguments name, open. Raises UsageError, ArchiveUnknown, ArchiveDamaged."""
    first, archive = wanted
    if is_file(first):
        if archive != LATEST:
            raise UsageError(msg("a file is one archive: leave out `{archive}`", archive=archive))
        with opened_file(Path(first)) as opened:
            yield None, opened
        return
    profile = load_profile(settings, first)
    if is_file(archive):
        with opened_file(Path(archive)) as opened:
            yield None, opened
        return
    with opened_archive(profile, archive, _now()) as opened:
        yield profile, opened


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
        yield from wrapped(f"There is no archive of {profile.name} yet.", "  ")
        return
    heads = ["Archive", "Made", "Variant", "Size", "Verified", "Note", *(["Destination"] if several else [])]
    yield from table(heads, [_row(listed, several=several) for listed in archives])


def _row(listed: Listed, *, several: bool) -> list[str]:
    made = "" if listed.created_at is None else listed.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    verified = "-" if listed.verified_at is None else _local(listed.verified_at)
    cells = [listed.name, made, listed.variant or "?", size_text(listed.size_bytes), verified]
    return [*cells, ", ".join(marks_text(listed)), *([listed.destination.label] if several else [])]


def _local(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")


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
