"""How a profile stands: its newest good backup, whether that is too old, and what its schedule has done."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.errors import ExitCode, Finding
from runner.messages import Message, msg
from runner.model.profile import Profile, Variant
from runner.model.remembered import Attempt
from runner.schedulers.times import following
from runner.state import ProfileState
from runner.workflow.catalogue import Catalogue, Listed, list_archives

_LONGEST_RUN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Health:
    """`newest`: the newest archive that holds all that the profile has and is not known to be damaged."""

    profile: str
    newest: Listed | None
    next_due: datetime | None
    attempt: Attempt | None
    problems: tuple[Finding, ...]


def health_of(profile: Profile, now: datetime) -> Health:
    """Look at the destinations and at the state folder. Raises no error for a destination: that is a problem, too."""
    catalogue = list_archives(profile, now)
    wanted = _variants(profile, catalogue)
    newest = next((listed for listed in catalogue.archives if _is_good(listed, wanted)), None)
    attempt = ProfileState.of(profile).last_attempt()
    next_due = None if profile.schedule is None else following(profile.schedule, now)
    return Health(profile.name, newest, next_due, attempt, tuple(_problems(profile, catalogue, newest, attempt, now)))


def _variants(profile: Profile, catalogue: Catalogue) -> set[str]:
    """What counts as a backup of everything; where only the application's settings know, what there has been so far."""
    if profile.app is None:
        return {Variant.FULL.value, profile.natural_variant.value}
    is_full = any(listed.variant == Variant.FULL.value for listed in catalogue.archives)
    return {Variant.FULL.value} if is_full and profile.app.media else {Variant.FULL.value, Variant.DB_ONLY.value}


def _is_good(listed: Listed, wanted: set[str]) -> bool:
    return not listed.marks and listed.created_at is not None and listed.variant in wanted


def _problems(
    profile: Profile, catalogue: Catalogue, newest: Listed | None, attempt: Attempt | None, now: datetime
) -> Iterator[Finding]:
    for error in catalogue.failed:
        for finding in error.findings:
            yield Finding("status.unseen", finding.message, finding.where, finding.hint)
    if newest is None and not catalogue.failed:
        hint = msg("make one: `runner apply {profile}`", profile=profile.name)
        yield Finding("status.none", msg("there is no good backup"), profile.name, hint)
    if newest is not None and newest.created_at is not None and profile.max_age is not None:
        age = now - newest.created_at
        if age > profile.max_age:
            old, most = age_text(age.total_seconds()), age_text(profile.max_age.total_seconds())
            message = msg("the newest good backup is {age} old, and {most} is the most", age=old, most=most)
            hint = msg("make one: `runner apply {profile}`, and see why none was made", profile=profile.name)
            yield Finding("status.overdue", message, profile.name, hint)
    if attempt is not None and _is_bad(attempt, newest, now):
        message = msg("the last scheduled run ended with exit code {code}", code=attempt.exit_code)
        if attempt.exit_code is None:
            message = msg("the last scheduled run, of {time}, never came to its end", time=attempt.started_at)
        hint = msg("run `runner apply {profile}` and see", profile=profile.name)
        yield Finding("status.failed", message, profile.name, hint)


def _is_bad(attempt: Attempt, newest: Listed | None, now: datetime) -> bool:
    """Whether a scheduled run failed, or died a day ago or earlier, and no good backup was made since."""
    started = datetime.fromisoformat(attempt.started_at)
    if newest is not None and newest.created_at is not None and newest.created_at > started:
        return False
    if attempt.exit_code is None:
        return now - started > _LONGEST_RUN
    return attempt.exit_code not in (ExitCode.DONE, ExitCode.WARNINGS)


def age_text(seconds: float) -> Message:
    """`45 min`, `5 h`, `3 d`: the largest unit of which there are two."""
    if seconds >= 2 * 86400:
        return msg("{number} d", number=round(seconds / 86400))
    if seconds >= 2 * 3600:
        return msg("{number} h", number=round(seconds / 3600))
    return msg("{number} min", number=round(max(0, seconds) / 60))
