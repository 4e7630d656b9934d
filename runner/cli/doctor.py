"""The work of `runner doctor`."""

from collections.abc import Iterator
from datetime import datetime

from runner.cli.profiles import find_root, load_profile
from runner.cli.run import Outcome
from runner.cli.settings import Settings
from runner.cli.text import wrapped
from runner.errors import ConfigurationInvalid, ExitCode, Interrupted, RunnerError, UsageError
from runner.messages import Message, msg
from runner.workflow.doctor import Check, State, examine, problem_of

_SIGNS = {State.OK: msg("ok"), State.WARNING: msg("warning"), State.PROBLEM: msg("problem")}
_SUBJECTS = {
    "application": msg("application"),
    "backups": msg("backups"),
    "clock": msg("clock"),
    "database": msg("database"),
    "destination": msg("destination"),
    "media": msg("media"),
    "references": msg("references"),
    "restore": msg("restore"),
    "schedule": msg("schedule"),
    "secrets": msg("secrets"),
    "space": msg("space"),
    "state": msg("state"),
}


def doctor_outcome(settings: Settings, name: str) -> Outcome:
    """Problems are the result, on stdout. Raises UsageError, ConfigurationInvalid."""
    root = find_root(settings)
    now = datetime.now().astimezone()
    try:
        checks = tuple(examine(load_profile(settings, name), root.file, now))
    except (UsageError, ConfigurationInvalid, Interrupted):
        raise
    except RunnerError as error:  # the application's settings could not be asked
        checks = problem_of("application", error)
    states = {check.state for check in checks}
    code = ExitCode.REFUSED if State.PROBLEM in states else ExitCode.DONE
    if code is ExitCode.DONE and State.WARNING in states:
        code = ExitCode.WARNINGS
    data = [
        {
            "subject": check.subject,
            "state": check.state.value,
            "message": str(check.message),
            "where": check.where,
            "hint": None if check.hint is None else str(check.hint),
        }
        for check in checks
    ]
    return Outcome({"checks": data}, tuple(line for check in checks for line in _lines(check)), exit_code=code)


def _lines(check: Check) -> Iterator[str]:
    yield from wrapped(_line(check).localized(), "            ")
    if check.hint is not None:
        yield from wrapped(msg("          hint: {hint}", hint=check.hint).localized(), "            ")


def _line(check: Check) -> Message:
    sign, subject = _SIGNS[check.state], _SUBJECTS.get(check.subject, check.subject)
    if check.where is None:
        return msg("{sign:10}{subject}: {message}", sign=sign, subject=subject, message=check.message)
    return msg(
        "{sign:10}{subject}: {where}: {message}", sign=sign, subject=subject, where=check.where, message=check.message
    )
