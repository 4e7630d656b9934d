"""Tells people how a backup ended. Nothing that goes wrong here fails a backup: it is a warning."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from runner.errors import (
    ExitCode,
    Finding,
    Interrupted,
    LockHeld,
    RunnerError,
    StepFailed,
    exit_code_of,
    interruption_in,
)
from runner.events import Began, Event, Noticed, Reporter
from runner.language import speaking
from runner.messages import Message, msg
from runner.model.profile import NotifierConfig, Occasion, PingNotifier, Profile
from runner.model.remembered import Outcome
from runner.model.report import BackupReport
from runner.notifiers.base import Notice
from runner.state import ProfileState

_MOST_FINDINGS = 5


def notified(profile: Profile, back_up: Callable[[Reporter], BackupReport], reporter: Reporter) -> BackupReport:
    """Make a backup and tell how it ended; what could not be told is among its warnings. Raises as the backup does."""
    if not profile.notify:
        return back_up(reporter)
    telling = _Telling(profile, reporter)
    try:
        report = back_up(telling)
    except RunnerError as error:
        telling.notice(*tell_failure(profile, error))
        if telling.began and interruption_in(error) is not None:
            telling.notice(*_pings(profile, "failure"))  # it heard of the beginning, and would wait for the end
        raise
    except Exception as error:
        bug = StepFailed(msg("a bug in runner: {kind}", kind=type(error).__name__))
        telling.notice(*tell_failure(profile, bug))
        raise
    try:
        code = ExitCode.WARNINGS if report.warnings else ExitCode.DONE
        telling.notice(*_pings(profile, "success"), *_told(profile, _done(profile, report), code))
    except Interrupted:
        where = ", ".join(str(placed.path) for placed in report.placed)
        message = msg("interrupted when the backup was made already; it stays: {place}", place=where)
        raise Interrupted(message, hint=msg("nothing needs to be done again")) from None
    return replace(report, warnings=(*report.warnings, *telling.not_told))


class _Telling:
    """A reporter that passes everything on. Once the run has its lock, the services of pings hear that it began."""

    def __init__(self, profile: Profile, reporter: Reporter) -> None:
        self._profile = profile
        self._reporter = reporter
        self.began = False
        self.not_told: list[Finding] = []

    def __call__(self, event: Event, /) -> None:
        self._reporter(event)
        if isinstance(event, Began):
            self.began = True
            self.notice(*_pings(self._profile, "start"))

    def notice(self, *findings: Finding) -> None:
        """What could not be told is told here."""
        for finding in findings:
            self.not_told.append(finding)
            self._reporter(Noticed(finding))


def tell_failure(profile: Profile, error: RunnerError) -> tuple[Finding, ...]:
    """Tell that a backup was not made; returns what could not be told.

    Not of one that a person ended, and not of one that another run held up.
    """
    if not profile.notify or interruption_in(error) is not None or isinstance(error, LockHeld):
        return ()
    subject = msg("{profile}: the backup failed", profile=profile.name)
    notice = _notice(profile, Occasion.FAILURE, subject, error.findings, exit_code=int(exit_code_of(error)))
    return (*_pings(profile, "failure"), *_told(profile, notice, exit_code_of(error)))


def tell_overdue(profile: Profile, problem: Finding) -> tuple[Finding, ...]:
    """Tell once, until the next good backup, that there is none that is young enough; returns what was not told.

    Where nobody could be reached, it is tried again the next time.
    """
    state = ProfileState.of(profile)
    last = state.last_outcome()
    if last is not None and last.overdue_told:
        return ()
    subject = msg("{profile}: the backup is overdue", profile=profile.name)
    reached, not_told = _sent(profile, _notice(profile, Occasion.OVERDUE, subject, (problem,)))
    if not reached:
        return tuple(not_told)
    code = None if last is None else last.exit_code
    return (*not_told, *_noted(state, Outcome(datetime.now(UTC).isoformat(), code, overdue_told=True)))


def try_out(profile: Profile) -> list[tuple[NotifierConfig, RunnerError | None]]:
    """Send a test to every notifier; what came of each."""
    subject = msg("{profile}: a test", profile=profile.name)
    body = msg("This is a test. No backup was made.")
    notice = _notice(profile, Occasion.SUCCESS, subject, (), body=body, event="test")
    from runner.notifiers.sending import ping, send

    found: list[tuple[NotifierConfig, RunnerError | None]] = []
    for notifier in profile.notify:
        try:
            if isinstance(notifier, PingNotifier):
                ping(notifier, "success")
            else:
                send(notifier, notice)
            found.append((notifier, None))
        except Interrupted:
            raise
        except RunnerError as error:
            found.append((notifier, error))
    return found


def _done(profile: Profile, report: BackupReport) -> Notice:
    occasion = Occasion.WARNING if report.warnings else Occasion.SUCCESS
    last = ProfileState.of(profile).last_outcome()
    if last is not None and last.exit_code not in (None, ExitCode.DONE, ExitCode.WARNINGS):
        occasion = Occasion.RECOVERY
    subject = {
        Occasion.SUCCESS: msg("{profile}: the backup is made", profile=profile.name),
        Occasion.WARNING: msg("{profile}: the backup is made, with warnings", profile=profile.name),
        Occasion.RECOVERY: msg("{profile}: the backup works again", profile=profile.name),
    }[occasion]
    size = max((placed.size_bytes for placed in report.placed), default=0)
    places = [str(placed.path) for placed in report.placed]
    where = ", ".join(places)
    body = msg("{archive}, {size} bytes, is in {places}.", archive=report.archive_name, size=size, places=where)
    code = int(ExitCode.WARNINGS if report.warnings else ExitCode.DONE)
    more = {"archive": report.archive_name, "size_bytes": size, "places": places}
    return _notice(profile, occasion, subject, report.warnings, body=body, exit_code=code, **more)


def _notice(
    profile: Profile,
    occasion: Occasion,
    subject: Message,
    findings: Sequence[Finding],
    *,
    body: Message | None = None,
    **data: Any,
) -> Notice:
    now = datetime.now().astimezone()
    host = platform.node()
    told = {
        "format_version": 1,
        "subject": str(subject),
        "profile": profile.name,
        "host": host,
        "time": now.isoformat(timespec="seconds"),
        "findings": [{"code": each.code, "message": str(each.message), "where": each.where} for each in findings],
    }
    with speaking(profile.language):
        lines = [] if body is None else [body.localized(), ""]
        for finding in findings[:_MOST_FINDINGS]:
            lines += _finding_lines(finding)
        if len(findings) > _MOST_FINDINGS:
            lines.append(msg("and {count} more", count=len(findings) - _MOST_FINDINGS).localized())
        lines += ["", msg("{host}, {time}", host=host, time=now.strftime("%Y-%m-%d %H:%M:%S")).localized()]
        text = "\n".join(lines).strip() + "\n"
        return Notice(occasion, subject.localized(), text, {**told, **data})


def _finding_lines(finding: Finding) -> Iterator[str]:
    text = finding.message.localized()
    yield f"- {finding.where}: {text}" if finding.where else f"- {text}"
    if finding.hint is not None:
        yield f"  {finding.hint.localized()}"


def _told(profile: Profile, notice: Notice, code: ExitCode) -> Iterator[Finding]:
    """Send it, and note how the run ended, so that the next one knows whether it is a recovery."""
    _, not_told = _sent(profile, notice)
    yield from not_told
    state = ProfileState.of(profile)
    last = state.last_outcome()
    was_overdue = last is not None and last.overdue_told and notice.occasion is Occasion.FAILURE
    yield from _noted(state, Outcome(datetime.now(UTC).isoformat(), int(code), was_overdue))


def _sent(profile: Profile, notice: Notice) -> tuple[int, list[Finding]]:
    """To everybody who wants to hear of it: how many did, and what could not be told.

    Of a recovery, those hear too who want to hear of every good backup.
    """
    from runner.notifiers.sending import send

    heard_as = {notice.occasion}
    if notice.occasion is Occasion.RECOVERY:
        heard_as.add(Occasion.WARNING if notice.data.get("exit_code") else Occasion.SUCCESS)
    wanting = [each for each in profile.notify if not isinstance(each, PingNotifier) and each.on & heard_as]
    failed = [_tried(partial(send, notifier, notice)) for notifier in wanting]
    return sum(not findings for findings in failed), [finding for findings in failed for finding in findings]


def _pings(profile: Profile, moment: Literal["start", "success", "failure"]) -> list[Finding]:
    from runner.notifiers.sending import ping

    services = [each for each in profile.notify if isinstance(each, PingNotifier)]
    return [finding for service in services for finding in _tried(partial(ping, service, moment))]


def _tried(tell: Callable[[], None]) -> tuple[Finding, ...]:
    """Whatever goes wrong is a finding: a backup must not fail because somebody could not be told."""
    try:
        tell()
    except Interrupted:
        raise
    except RunnerError as error:
        return tuple(Finding("notify.not-sent", each.message, each.where, each.hint) for each in error.findings)
    except Exception as error:  # noqa: BLE001 - see above; its own text may hold an address
        message = msg("the message was not sent: {reason}", reason=type(error).__name__)
        return (Finding("notify.not-sent", message),)
    return ()


def _noted(state: ProfileState, outcome: Outcome) -> tuple[Finding, ...]:
    try:
        state.record_outcome(outcome)
    except OSError as error:
        reason = error.strerror or str(error)
        return (Finding("state.not-recorded", msg("the state folder could not note it: {reason}", reason=reason)),)
    return ()
