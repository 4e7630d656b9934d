"""The work of `runner schedule` and `runner run-due`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from runner import config
from runner.cli.apply import Request, apply_outcome, together
from runner.cli.moments import moment_text, noted_text
from runner.cli.profiles import find_root, load_profile
from runner.cli.run import Outcome, attempted, code_of, present, print_finding
from runner.cli.settings import Settings
from runner.cli.text import wrapped
from runner.errors import (
    ExitCode,
    Interrupted,
    Refused,
    RunnerError,
    UsageError,
    WorkspaceFailed,
    interruption_in,
    raise_all,
)
from runner.messages import msg
from runner.model.profile import Profile
from runner.model.remembered import Attempt
from runner.schedulers.base import Job, Part, Scheduler
from runner.schedulers.choice import named, own
from runner.schedulers.times import following
from runner.state import ProfileState
from runner.workflow.health import health_of
from runner.workflow.notifying import tell_failure, tell_overdue
from runner.workflow.scheduling import (
    due_since,
    environment_of,
    install,
    job_named,
    job_of,
    keep_variables,
    remove,
    run_scheduled,
    secrets_missing,
)

_LOOK_EVERY_SECONDS = 60


def due_outcome(settings: Settings, wanted: Sequence[str], *, is_watch: bool = False) -> Outcome:
    """Every backup that is due, one after the other; errors are part of the outcome. Raises RunnerError."""
    outcomes: list[tuple[str, Outcome]] = []
    idle: list[str] = []
    for name in wanted or config.all_names(find_root(settings)):
        due = partial(_due, settings, name, named_by_a_person=bool(wanted), is_watch=is_watch)
        looked = attempted(due)
        if isinstance(looked, Outcome):
            outcomes.append((name, looked))
        elif not settings.quiet:
            idle += _not_due(looked)
    made = together(outcomes)
    return replace(made, lines=(*made.lines, *idle))


def watch_outcome(settings: Settings, wanted: Sequence[str]) -> Outcome:
    """Look every minute, until somebody ends it: between two backups that is how it is meant to end.

    What goes wrong with a configuration or with the output is told, and the next minute is another one.
    """
    look = partial(due_outcome, replace(settings, quiet=True), wanted, is_watch=True)
    while True:
        outcome = attempted(look)
        try:
            present(outcome)
            time.sleep(_LOOK_EVERY_SECONDS - time.time() % _LOOK_EVERY_SECONDS)
        except Interrupted:
            return Outcome()


def check_outcome(settings: Settings, wanted: Sequence[str]) -> Outcome:
    """Whether scheduled runs could start from this environment. Raises all that stands in their way."""
    errors: list[RunnerError] = []
    for name in wanted or config.all_names(find_root(settings)):
        unasked = load_profile(settings, name, need_variables=False, ask=False)
        try:
            with environment_of(unasked):
                errors += secrets_missing(load_profile(settings, name))
        except RunnerError as error:
            if interruption_in(error) is not None:
                raise
            errors.append(error)
    raise_all(errors)
    line = msg("a scheduled run could start from here").localized()
    return Outcome({"results": []}, () if settings.quiet else (line,))


def install_outcome(
    settings: Settings, profile: str, kind: str | None, keep: Sequence[str], *, only_print: bool
) -> Outcome:
    """Raises RunnerError."""
    known, job, scheduler = _job(settings, profile, kind)
    if only_print:
        parts = scheduler.parts(job)
        return Outcome(_data(job, scheduler, parts), tuple(_part_lines(parts)))
    if keep:
        keep_variables(known, keep)
    warnings = install(scheduler, job, known, lambda: check_outcome(settings, [profile]))
    parts = scheduler.parts(job)
    lines = (*(msg("installed: {place}", place=part.place).localized() for part in parts), _next_line(job))
    return Outcome(_data(job, scheduler, parts), lines, warnings)


def remove_outcome(settings: Settings, profile: str, kind: str | None) -> Outcome:
    """The profile may have lost its schedule, or be gone. Raises RunnerError."""
    job, scheduler = _named_job(settings, profile, kind)
    others = [name for name in find_root(settings).names if name != profile and _has_schedule(settings, name)]
    was_there = remove(scheduler, job, others, has_schedule=_has_schedule(settings, profile))
    line = msg("there is no timer of {profile}", profile=profile)
    if was_there:
        line = msg("removed the timer of {profile}", profile=profile)
    data = {"schedule": {"profile": profile, "with": scheduler.name, "removed": was_there}}
    return Outcome(data, (line.localized(),))


def show_outcome(settings: Settings, profile: str, kind: str | None) -> Outcome:
    """Raises RunnerError."""
    known = load_profile(settings, profile, need_variables=False, ask=False)
    job, scheduler = _named_job(settings, profile, kind)
    parts = scheduler.installed(job)
    attempt = ProfileState.of(known).last_attempt()
    lines = list(_part_lines(parts))
    if not lines:
        none = msg("there is no timer of {profile} ({name})", profile=profile, name=scheduler.name)
        lines.append(none.localized())
    if known.schedule is None:
        lines.append(msg("the profile has no schedule").localized())
    else:
        job = job_of(known, job.root_file)
        lines.append(_next_line(job))
    if attempt is not None:
        lines.append(_attempt_line(attempt))
    return Outcome(_data(job, scheduler, parts, has_schedule=known.schedule is not None), tuple(lines))


def _due(settings: Settings, name: str, *, named_by_a_person: bool, is_watch: bool) -> Outcome | Profile:
    """What came of the backup that was due, or the profile for which none was.

    Whether a good one is there, and young enough, is looked at always.
    """
    unasked = load_profile(settings, name, need_variables=False, ask=False)
    outcome: Outcome | None = None
    is_watched = unasked.max_age is not None and bool(unasked.notify)
    if unasked.schedule is None and not is_watched:
        if named_by_a_person:
            job_of(unasked, Path())  # which says what to do about it
    else:
        outcome = _made_and_looked_after(settings, unasked, is_watched=is_watched)
    if is_watch:
        with suppress(OSError):  # so that `doctor` knows that no timer is needed
            ProfileState.of(unasked).note_watching()
    return unasked if outcome is None else outcome


def _made_and_looked_after(settings: Settings, unasked: Profile, *, is_watched: bool) -> Outcome | None:
    try:
        with environment_of(unasked):
            # Once more, by the variables that were kept.
            profile = load_profile(settings, unasked.name, need_variables=False, ask=False)
            outcome = _made(settings, profile, _now())
            if is_watched:
                _look_whether_overdue(profile, _now())
    except WorkspaceFailed as error:  # so that nothing could be begun, or nothing noted
        for finding in tell_failure(unasked, error):
            print_finding("warning", finding)
        raise
    return outcome


def _made(settings: Settings, profile: Profile, now: datetime) -> Outcome | None:
    due = due_since(profile, now)
    if due is None:
        return None
    made: list[Outcome] = []
    request = Request(profile.name, None, None, dry_run=False, politely=True)

    def back_up() -> ExitCode:
        made.append(attempted(partial(apply_outcome, settings, request)))
        return code_of(made[0])

    run_scheduled(profile, due, now, back_up)
    return made[0]


def _not_due(profile: Profile) -> list[str]:
    """When the next one is due, for a person who wonders why nothing is made."""
    if profile.schedule is None:
        return []
    due = moment_text(following(profile.schedule, _now()))
    return [msg("{profile}: nothing is due before {time}", profile=profile.name, time=due).localized()]


def _look_whether_overdue(profile: Profile, now: datetime) -> None:
    """Somebody is told once of a good backup that is missing, too old, or out of sight."""
    health = health_of(profile, now)
    codes = {"status.overdue"} if health.newest is not None else {"status.none", "status.unseen"}
    late = [problem for problem in health.problems if problem.code in codes]
    for problem in late[:1]:
        for finding in tell_overdue(profile, problem):
            print_finding("warning", finding)


def _named_job(settings: Settings, name: str, kind: str | None) -> tuple[Job, Scheduler]:
    root = find_root(settings)
    if root.file is None:
        raise Refused(msg("a timer needs a project"), hint=msg("write a backup.yml: `runner init`"))
    return job_named(name, root.file.absolute()), own() if kind is None else named(kind)


def _job(settings: Settings, name: str, kind: str | None) -> tuple[Profile, Job, Scheduler]:
    profile = load_profile(settings, name, need_variables=False, ask=False)
    named_job, scheduler = _named_job(settings, name, kind)
    return profile, job_of(profile, named_job.root_file), scheduler


def _has_schedule(settings: Settings, name: str) -> bool:
    try:
        return load_profile(settings, name, need_variables=False, ask=False).schedule is not None
    except UsageError:
        return False  # there is no such profile
    except RunnerError as error:
        if interruption_in(error) is not None:
            raise
        return True  # nobody knows


def _data(job: Job, scheduler: Scheduler, parts: Sequence[Part], *, has_schedule: bool = True) -> dict[str, Any]:
    return {
        "schedule": {
            "profile": job.profile,
            "with": scheduler.name,
            "next_due": following(job.schedule, _now()).isoformat() if has_schedule else None,
            "parts": [{"place": part.place, "content": part.content} for part in parts],
        }
    }


def _part_lines(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        yield from wrapped(f"{part.place}:", "  ")
        yield from (f"  {line}" for line in part.content.splitlines())


def _next_line(job: Job) -> str:
    moment = moment_text(following(job.schedule, _now()))
    return msg("next backup of {profile} due {moment}", profile=job.profile, moment=moment).localized()


def _attempt_line(attempt: Attempt) -> str:
    moment, code = noted_text(attempt.started_at), attempt.exit_code
    if code is None:
        return msg("the last scheduled run, {moment}, has not ended", moment=moment).localized()
    line = msg("the last scheduled run, {moment}, ended with exit code {code}", moment=moment, code=code)
    return line.localized()


def _now() -> datetime:
    return datetime.now().astimezone()
