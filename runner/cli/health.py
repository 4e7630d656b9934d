"""The work of `runner status`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from runner import config
from runner.cli.moments import moment_text
from runner.cli.profiles import find_root, load_profile
from runner.cli.run import Outcome, finding_data
from runner.cli.settings import Settings
from runner.cli.text import wrapped
from runner.messages import Message, msg
from runner.workflow.health import Health, age_text, health_of


def status_outcome(settings: Settings, wanted: Sequence[str]) -> Outcome:
    """Every problem is a warning. Raises RunnerError for a profile that is wrong or not there."""
    now = datetime.now().astimezone()
    names = wanted or config.all_names(find_root(settings))
    found = [health_of(load_profile(settings, name, need_variables=False, ask=False), now) for name in names]
    lines = tuple(line for health in found for line in _lines(health, now))
    problems = tuple(problem for health in found for problem in health.problems)
    return Outcome({"profiles": [_data(health, now) for health in found]}, lines, problems)


def _lines(health: Health, now: datetime) -> Iterator[str]:
    newest = health.newest
    if newest is None or newest.created_at is None:
        yield msg("{profile}: no good backup", profile=health.profile).localized()
    else:
        line = _newest_line(health.profile, newest.created_at, now, verified=bool(newest.verified_at))
        yield from wrapped(line.localized(), "  ")
        yield from wrapped(f"  {newest.destination.locate(newest.name)}", "    ")
    if health.next_due is not None:
        yield msg("  next one due {moment}", moment=moment_text(health.next_due)).localized()


def _newest_line(profile: str, created_at: datetime, now: datetime, *, verified: bool) -> Message:
    age, moment = age_text((now - created_at).total_seconds()), moment_text(created_at)
    if verified:
        return msg("{profile}: last good backup {age} ago, {moment}, verified", profile=profile, age=age, moment=moment)
    return msg(
        "{profile}: last good backup {age} ago, {moment}, never verified", profile=profile, age=age, moment=moment
    )


def _data(health: Health, now: datetime) -> dict[str, Any]:
    newest = health.newest
    made = None if newest is None else newest.created_at
    attempt = health.attempt
    return {
        "profile": health.profile,
        "archive": None if newest is None else newest.name,
        "location": None if newest is None else newest.destination.locate(newest.name),
        "created_at": None if made is None else made.isoformat(),
        "age_seconds": None if made is None else round((now - made).total_seconds()),
        "verified_at": None if newest is None else newest.verified_at,
        "next_due": None if health.next_due is None else health.next_due.isoformat(),
        "last_scheduled": None
        if attempt is None
        else {"due_at": attempt.due_at, "started_at": attempt.started_at, "exit_code": attempt.exit_code},
        "problems": [finding_data(problem) for problem in health.problems],
    }
