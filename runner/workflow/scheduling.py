"""Scheduled backups: when one is due, the run that is made for it, and the timer that starts it."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from runner.errors import (
    ExitCode,
    Finding,
    Interrupted,
    Obstructed,
    Refused,
    RunnerError,
    ToolFailed,
    UsageError,
    WorkspaceFailed,
)
from runner.messages import msg
from runner.model.profile import Profile, Schedule
from runner.model.remembered import Attempt
from runner.process import running
from runner.schedulers.base import Job, Scheduler
from runner.schedulers.crontab import Crontab
from runner.schedulers.times import previous
from runner.secrets import missing
from runner.state import ProfileState, unusable

MOST_TRIES: Final = 3
"""How often a backup is tried for one time that it was due."""

AFTER_FAILURE: Final = timedelta(minutes=55)  # the timer of the next hour may be a little early
_CLOCKS_DIFFER: Final = timedelta(minutes=5)

_KEPT_EVERYWHERE: Final = ("HOME", "LOGNAME", "USER")
_MADE_AT_LOGON: Final = frozenset(
    {
        *("ALLUSERSPROFILE", "APPDATA", "COMMONPROGRAMFILES", "COMMONPROGRAMFILES(X86)", "COMMONPROGRAMW6432"),
        *("COMPUTERNAME", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "LOGONSERVER", "ONEDRIVE", "ONEDRIVECOMMERCIAL"),
        *("ONEDRIVECONSUMER", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "PUBLIC"),
        *("SYSTEMDRIVE", "SYSTEMROOT", "USERDOMAIN", "USERNAME", "USERPROFILE"),
    }
)
_PATH_OF_A_TIMER: Final = "/usr/local/bin:/usr/bin:/bin"


def due_since(profile: Profile, now: datetime) -> datetime | None:
    """The time for which a backup is due now and was not made; None where there is none.

    A backup that a person made since then counts. One that failed is tried again after an hour, three times in all. A
    record of the future is of a clock that was wrong, and holds nothing back.
    """
    if profile.schedule is None:
        return None
    due = previous(profile.schedule, now)
    state = ProfileState.of(profile)
    if _was_made(state, due, now):
        return None
    attempt = state.last_attempt()
    if attempt is None or datetime.fromisoformat(attempt.started_at) > now + _CLOCKS_DIFFER:
        return due
    if datetime.fromisoformat(attempt.due_at) < due:
        return due
    is_done = attempt.exit_code in (ExitCode.DONE, ExitCode.WARNINGS)
    rests = now - datetime.fromisoformat(attempt.started_at) < AFTER_FAILURE
    return None if is_done or rests or attempt.tries >= MOST_TRIES else due


def run_scheduled(profile: Profile, due: datetime, now: datetime, back_up: Callable[[], ExitCode]) -> ExitCode:
    """Make the backup that is due, and note how it ended; a run that another one holds up is none.

    Raises WorkspaceFailed where that cannot be noted: it would be made again and again.
    """
    state = ProfileState.of(profile)
    before = state.last_attempt()
    is_again = before is not None and datetime.fromisoformat(before.due_at) == due
    tries = before.tries + 1 if before is not None and is_again else 1
    attempt = Attempt(due.isoformat(), now.isoformat(), None, tries)
    with _noting(state):
        state.record_attempt(attempt)
    code = back_up()
    with _noting(state):
        if code is not ExitCode.LOCKED:
            state.record_attempt(Attempt(due.isoformat(), now.isoformat(), int(code), tries))
        elif state.last_attempt() == attempt:  # and not what the other run has noted meanwhile
            state.record_attempt(before)
    return code


@contextmanager
def environment_of(profile: Profile) -> Iterator[None]:
    """The variables that were kept for scheduled runs, where this process has them not. Raises WorkspaceFailed."""
    state = ProfileState.of(profile)
    try:
        kept = state.environment()
    except (OSError, UnicodeError) as error:
        message = msg("the variables for scheduled runs cannot be read: {reason}", reason=str(error))
        hint = msg("check the permissions of the file; it is text in UTF-8, NAME=VALUE a line")
        raise WorkspaceFailed(message, where=str(state.environment_path), hint=hint) from None
    added = {name: value for name, value in kept.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def secrets_missing(profile: Profile) -> list[RunnerError]:
    """What a scheduled run will need and could not read now: the database's password, and whom to tell."""
    return [error for each in (profile.database_password, *profile.notify_secrets) for error in missing(each)]


def job_of(profile: Profile, root_file: Path) -> Job:
    """What a timer is to run. Raises Refused for a profile without a schedule."""
    if profile.schedule is None:
        message = msg("the profile has no schedule")
        hint = msg('write one into it: `schedule: {{daily: "23:00"}}`')
        raise Refused(message, where=str(profile.source), hint=hint)
    return _job(profile.name, profile.schedule, root_file)


def job_named(name: str, root_file: Path) -> Job:
    """The job of a profile that may have no schedule any more, or be gone: to find its timer and take it away."""
    return _job(name, Schedule("0 0 * * *", 0), root_file)


def _job(name: str, schedule: Schedule, root_file: Path) -> Job:
    """`-P`: what lies in the folder where a timer starts must not be taken for runner, or for a part of Python."""
    command = (str(_python()), "-P", "-m", "runner", "-q", "-c", str(root_file), "run-due")
    return Job(name, schedule, root_file, command)


def keep_variables(profile: Profile, names: Iterable[str]) -> None:
    """Write variables of this process down for scheduled runs. Raises UsageError, WorkspaceFailed."""
    kept: dict[str, str] = {}
    for name in names:
        value = os.environ.get(name)
        if value is None:
            hint = msg("set it, then say `--keep` again")
            raise UsageError(msg("the variable {name} is not set", name=name), hint=hint)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\n" in value or "\r" in value:
            raise UsageError(msg("the variable {name} cannot be kept: it holds several lines", name=name))
        kept[name] = value
    state = ProfileState.of(profile)
    with _noting(state):
        state.keep_environment(kept)


def install(scheduler: Scheduler, job: Job, profile: Profile, check: Callable[[], object]) -> tuple[Finding, ...]:
    """Try out what the timer will do, as far as it can be tried; install it. Raises Obstructed, StepFailed, Refused.

    `check` raises what stands in the way of a run, as far as the environment is concerned.
    """
    if obstacles := _tried(job, ProfileState.of(profile), check):
        raise Obstructed(obstacles)
    return scheduler.install(job)


def remove(scheduler: Scheduler, job: Job, others: Iterable[str], *, has_schedule: bool) -> bool:
    """Take the timer away; whether there was one. Raises Refused where it serves `others`, too."""
    names = ", ".join(f"`{name}`" for name in others)
    if isinstance(scheduler, Crontab) and names and scheduler.installed(job):
        if not has_schedule:
            return False  # it is passed over already
        message = msg("the line of the crontab serves other profiles, too: {names}", names=names)
        hint = msg("remove `schedule` from the profile {profile}: then it is passed over", profile=job.profile)
        raise Refused(message, where="crontab", hint=hint)
    return scheduler.remove(job)


def _was_made(state: ProfileState, due: datetime, now: datetime) -> bool:
    last = state.last_backup()
    if last is None or last.whole_at is None:
        return False
    with suppress(ValueError):
        return due <= datetime.fromisoformat(last.whole_at) <= now + _CLOCKS_DIFFER
    return False


@contextmanager
def _noting(state: ProfileState) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise unusable(state.environment_path.parent, error) from None


def _tried(job: Job, state: ProfileState, check: Callable[[], object]) -> list[Finding]:
    """What a run would miss, in an environment like the timer's: not in the one of this shell.

    First that the program starts there at all, then `check`, which raises what stands in the way.
    """
    environ = _environment_of_a_timer()
    with running([*job.command[: job.command.index("-q")], "--version"], environ, inherits=False) as child:
        child.stdout.read()
        try:
            child.wait()
        except ToolFailed as error:
            return [Finding("schedule.tried", error.message, job.command[0])]
    before = dict(os.environ)
    try:
        _become(environ)
        check()
    except Interrupted:
        raise
    except RunnerError as error:
        found = error.findings
    else:
        return []
    finally:
        _become(before)
    words = " ".join(str(finding.message) for finding in found)
    wanted = [name for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w+", words)) if name in os.environ]
    message = msg("a timer has not the variables of this shell; what is missing for it stands above")
    options = " ".join(f"--keep {name}" for name in wanted) or "--keep NAME"
    hint = msg(
        "`runner schedule install {profile} {options}` keeps their values of now in {file}, which you alone can read",
        profile=job.profile,
        options=options,
        file=state.environment_path,
    )
    return [*found, Finding("schedule.environment", message, hint=hint)]


def _become(environ: Mapping[str, str]) -> None:
    """Make `environ` the environment of this process, and of the programs that it starts."""
    os.environ.clear()
    os.environ.update(environ)


def _environment_of_a_timer() -> dict[str, str]:
    """What a timer's program finds in its environment, as far as this can be known.

    On Windows these are the lasting variables of the system and of the user, without what this shell alone has.
    """
    if sys.platform == "win32":
        import winreg

        lasting: set[str] = set()
        machine = r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
        for root, path in ((winreg.HKEY_LOCAL_MACHINE, machine), (winreg.HKEY_CURRENT_USER, "Environment")):
            with suppress(OSError), winreg.OpenKey(root, path) as key:
                for index in range(winreg.QueryInfoKey(key)[1]):
                    lasting.add(winreg.EnumValue(key, index)[0].upper())
        own = {name.upper(): (name, value) for name, value in os.environ.items()}
        return dict(entry for name, entry in own.items() if name in lasting | _MADE_AT_LOGON)
    kept = {name: os.environ[name] for name in _KEPT_EVERYWHERE if name in os.environ}
    return {**kept, "PATH": _PATH_OF_A_TIMER}


def _python() -> Path:
    """The interpreter that runs us; on Windows the one that opens no window."""
    own = Path(sys.executable)
    silent = own.with_name("pythonw.exe")
    return silent if sys.platform == "win32" and silent.exists() else own
