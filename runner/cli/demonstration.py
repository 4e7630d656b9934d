"""The work of `runner demo`: the real commands, one after the other, on a sample school."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runner.cli.apply import Request, apply_outcome
from runner.cli.archives import verify_outcome
from runner.cli.contents import show_outcome
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import wrapped
from runner.workflow.demo import PROFILE_NAME, SampleProject, make_sample_project

_NEXT = (
    f"runner list {PROFILE_NAME}",
    f"runner show {PROFILE_NAME} --match 'payment_receipts/2026/04/**'",
    f"runner verify {PROFILE_NAME}",
    f"runner apply {PROFILE_NAME} --dry-run",
)


def demo_outcome(settings: Settings, folder: Path) -> Outcome:
    """Make it, back it up, look into the archive, verify it. Raises Refused."""
    project = make_sample_project(folder)
    here = replace(settings, config=project.root_file)
    wanted = (PROFILE_NAME, "latest")
    made = apply_outcome(here, Request(PROFILE_NAME, None, None, dry_run=False))
    shown = show_outcome(here, wanted, files=False, pattern=None)
    verified = verify_outcome(here, wanted)
    data = {"folder": str(folder), **made.data, "folders": shown.data["folders"], "verified": verified.data["intact"]}
    lines = (*_intro(project), "", *made.lines, "", *shown.lines[1:], "", *verified.lines, "", *_ending(folder))
    warnings = (*made.warnings, *verified.warnings)
    return Outcome(data, lines, warnings, verified.errors, verified.exit_code)


def _intro(project: SampleProject) -> Iterator[str]:
    school = project.school
    yield from wrapped(f"A sample school in {project.folder}:", "  ")
    yield from wrapped(
        f"  {school.students} students, {school.payments} payments, {school.receipts} receipts, {school.photos} photos",
        "    ",
    )


def _ending(folder: Path) -> Iterator[str]:
    yield from wrapped("Database and files are in one zip; every byte of it was read again and compared.", "  ")
    yield from wrapped("RESTORE.txt in the zip says how to restore it by hand. Try next:", "  ")
    place = f'"{folder}"' if " " in str(folder) else str(folder)
    for command in (f"cd {place}", *_NEXT):
        yield f"  {command}"
