"""The work of `runner demo`: the real commands, one after the other, on a sample school."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runner.cli.apply import Request, apply_outcome
from runner.cli.archives import verify_outcome
from runner.cli.contents import show_outcome
from runner.cli.restoring import RestoreOptions, restore_outcome, undo_outcome
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import wrapped
from runner.messages import Message, counted, msg
from runner.workflow.demo import PROFILE_NAME, SampleProject, make_sample_project

_NEXT = (
    f"runner list {PROFILE_NAME}",
    f"runner show {PROFILE_NAME} --match 'payment_receipts/2026/04/**'",
    f"runner verify {PROFILE_NAME}",
    f"runner restore {PROFILE_NAME} --dry-run",
)


def demo_outcome(settings: Settings, folder: Path) -> Outcome:
    """Make it, back it up, look into it, verify it; then break it, restore it, and undo. Raises RunnerError."""
    project = make_sample_project(folder)
    here = replace(settings, config=project.root_file)
    wanted = (PROFILE_NAME, "latest")
    made = apply_outcome(here, Request(PROFILE_NAME, None, None, dry_run=False))
    shown = show_outcome(here, wanted, files=False, pattern=None)
    verified = verify_outcome(here, wanted)
    back = _there_and_back(here, project)
    data = {
        "folder": str(folder),
        **made.data,
        "folders": shown.data["folders"],
        "verified": verified.data["intact"],
        **back.data,
    }
    parts = (_intro(project), made.lines, shown.lines[1:], verified.lines, back.lines, _ending(folder))
    lines = tuple(line for part in parts for line in (*part, ""))[:-1]
    warnings = (*made.warnings, *verified.warnings, *back.warnings)
    return Outcome(data, lines, warnings, verified.errors, verified.exit_code)


def _there_and_back(settings: Settings, project: SampleProject) -> Outcome:
    """A bad day, the restore, its undo, and the undo of that: the school ends as it began. Raises RunnerError."""
    whole = _state(project)
    project.damage()
    damaged = _state(project)
    options = RestoreOptions(
        variant=None, at=None, yes=True, dry_run=False, accept_damage=False, no_safety_copy=False, trust_sql=False
    )
    restored = restore_outcome(settings, PROFILE_NAME, "latest", options)
    came_back = _state(project)
    undone = undo_outcome(settings, PROFILE_NAME, None, yes=True, dry_run=False)
    bad_again = _state(project)
    redone = undo_outcome(settings, PROFILE_NAME, None, yes=True, dry_run=False)
    stays = _state(project)
    name = PROFILE_NAME
    day = msg("A bad day: {things} are left.", things=damaged)
    told = (
        msg("  runner restore {profile}: {things} are back, swapped in together", profile=name, things=came_back),
        msg("  runner undo {profile}: {things}, the bad day again", profile=name, things=bad_again),
        msg("  runner undo {profile}: {things}, and so it stays", profile=name, things=stays),
    )
    lines = (*wrapped(day.localized(), "  "), *(line for each in told for line in wrapped(each.localized(), "    ")))
    data = {"restored": (came_back, bad_again, stays) == (whole, damaged, whole)}
    return Outcome(data, lines, (*restored.warnings, *undone.warnings, *redone.warnings))


def _state(project: SampleProject) -> Message:
    payments = counted("{count} payment", "{count} payments", project.payments())
    receipts = counted("{count} receipt", "{count} receipts", project.receipts())
    return msg("{payments} and {receipts}", payments=payments, receipts=receipts)


def _intro(project: SampleProject) -> Iterator[str]:
    school = project.school
    yield from wrapped(msg("A sample school in {folder}:", folder=project.folder).localized(), "  ")
    holds = msg(
        "  {students} students, {payments} payments, {receipts} receipts, {photos} photos",
        students=school.students,
        payments=school.payments,
        receipts=school.receipts,
        photos=school.photos,
    )
    yield from wrapped(holds.localized(), "    ")


def _ending(folder: Path) -> Iterator[str]:
    made = msg("Database and files are in one zip; every byte of it was read again and compared.")
    yield from wrapped(made.localized(), "  ")
    kept = msg(
        "What a restore replaces is kept in backups_local; RESTORE.txt in the zip says how to do it by hand. Try next:"
    )
    yield from wrapped(kept.localized(), "  ")
    place = f'"{folder}"' if " " in str(folder) else str(folder)
    for command in (f"cd {place}", *_NEXT):
        yield f"  {command}"
