"""`runner restore` and `runner undo`: one state of an application in the place of another, whole or not at all.

lock → settle what was interrupted → open → verify → preflight → confirm → stage → compare → before_restore → swap →
after_restore → safety copies → references. Up to the swap nothing live is touched; from then on it is finished or taken
back, by this run or by `runner recover`.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from runner.errors import (
    Finding,
    Interrupted,
    NotStartedAgain,
    Obstructed,
    RecoveryNeeded,
    RunnerError,
    SeveralFailed,
    WorkspaceFailed,
)
from runner.events import Began, Logged, Noticed, Reporter
from runner.journal import Begin, Journal, Step
from runner.messages import msg
from runner.model.plan import RestorePlan
from runner.model.profile import Profile, Variant
from runner.model.replaced import KeptDump, KeptFile, KeptOnServer, Replaced
from runner.model.report import RecoverReport, RestoreReport
from runner.state import ProfileState, Workspace
from runner.workflow.halves import Halves
from runner.workflow.hooks import HookContext, failures_told, run_hooks
from runner.workflow.inspection import Circumstances, Confirm, Prepared, inspect
from runner.workflow.keeping import mark_undone, prune_copies
from runner.workflow.opening import RestoreRequest, circumstances_of, opened_source, planned
from runner.workflow.pending import read_journal, refuse_while_swapping, resume, resumed, settle
from runner.workflow.politeness import make_way
from runner.workflow.references import missing_now
from runner.workflow.shield import Shield
from runner.workflow.sources import Source
from runner.workflow.taking_back import obstacle


def examine(request: RestoreRequest, reporter: Reporter) -> Prepared:
    """Everything up to the question, and nothing more: for a dry run. Raises RunnerError."""
    state = ProfileState.of(request.profile)
    refuse_interrupted(request.profile, state)
    with opened_source(request, reporter) as (source, found, lost):
        plan = planned(request, source)
        return look_ahead(plan, source, state, reporter, circumstances_of(request, plan, source, found, lost))


def look_ahead(
    plan: RestorePlan, source: Source, state: ProfileState, reporter: Reporter, circumstances: Circumstances
) -> Prepared:
    """What `carry_out` would ask. Changes nothing."""
    journal = Journal(state.journal_path, _begin(plan, source, circumstances.undone))
    with Halves(plan.profile, journal, state.work_folder(plan.names.run_id), reporter) as halves:
        return inspect(plan, source, halves, circumstances)


def refuse_interrupted(profile: Profile, state: ProfileState) -> None:
    """For a dry run. Raises RecoveryNeeded when a restore was interrupted in its swap, LockHeld when it goes on."""
    journal = read_journal(state)
    if journal is None or not journal.swap_began:
        return
    with suppress(WorkspaceFailed), state.locked():
        journal = read_journal(state)
    refuse_while_swapping(profile, journal)


def restore(request: RestoreRequest, confirm: Confirm, reporter: Reporter) -> RestoreReport:
    """Raises RunnerError; then the old state is live and nothing is left behind, unless it is RecoveryNeeded."""
    state = ProfileState.of(request.profile)
    context = HookContext(request.profile, request.variant or request.profile.natural_variant, request.names.run_id)
    make_way(request.profile, reporter)
    with failures_told(context, reporter), state.locked():
        reporter(Began("restore", request.names.run_id))
        settle(request.profile, state, reporter)
        clean_work(state, reporter)
        with opened_source(request, reporter) as (source, found, lost):
            plan = planned(request, source)
            circumstances = circumstances_of(request, plan, source, found, lost)
            return carry_out(plan, source, state, confirm, reporter, circumstances)


def carry_out(
    plan: RestorePlan,
    source: Source,
    state: ProfileState,
    confirm: Confirm,
    reporter: Reporter,
    circumstances: Circumstances,
) -> RestoreReport:
    """From the question to the report, with the lock held. See `restore`."""
    started = time.monotonic()
    journal = Journal(state.journal_path, _begin(plan, source, circumstances.undone))
    record: Replaced | None = None
    late: list[RunnerError] = []
    warnings: list[Finding] = []
    told = partial(reporter, Logged(msg("interrupted: what has begun is finished first")))
    try:
        with Shield(told) as shield, state.workspace(plan.names.run_id) as workspace:
            with ExitStack() as held:
                with shield.lifted():
                    halves = held.enter_context(Halves(plan.profile, journal, workspace.folder, reporter))
                    _note_probe(plan, halves, workspace)
                    prepared = inspect(plan, source, halves, circumstances)
                    if prepared.errors:
                        raise Obstructed(prepared.errors)
                    confirm(prepared.question)
                try:
                    record, failed = _exchange(plan, source, halves, state, shield, reporter)
                except OSError as error:
                    raise _waiting(plan, state, _workspace_failed(plan, error)) from None
                except RunnerError as error:
                    raise _waiting(plan, state, error) from None
            if failed is not None:
                late += not_started_again(plan.profile, failed)
            warnings += [*prepared.question.warnings, *prepared.question.foreign, *halves.warnings]
            warnings += _afterwards(plan, state, reporter)
    except RunnerError as error:
        told_as = _as_it_is(error, plan, state, is_in=record is not None)
        if record is None:
            raise told_as from None
        late.append(told_as)
    refused = obstacle(plan.profile, state, record, state.replaced())
    report = RestoreReport(
        profile=plan.profile.name,
        command=plan.command,
        variant=plan.variant.value,
        source=plan.source,
        run_id=plan.names.run_id,
        kept_database=None if record.database is None else _place_of(record),
        kept_media=record.media,
        duration_seconds=time.monotonic() - started,
        no_undo=None if refused is None else refused.message,
        lost=circumstances.lost,
        warnings=(*circumstances.lost, *warnings),
    )
    if late:
        raise DoneWithErrors(report, late)
    return report


class DoneWithErrors(SeveralFailed):
    """What was asked for is done and stays, as `report` says; the errors are of what came after it."""

    def __init__(self, report: RestoreReport | RecoverReport, errors: Sequence[RunnerError]) -> None:
        super().__init__(errors)
        self.report = report

    def joined_by(self, later: RunnerError) -> "DoneWithErrors":
        return DoneWithErrors(self.report, (*self.errors, later))


def not_started_again(profile: Profile, failure: RunnerError) -> tuple[RunnerError, RunnerError]:
    """`failure` of `after_restore`, behind what it means."""
    first = NotStartedAgain(
        msg("the restored state is in and stays, but `after_restore` failed: the application may not run"),
        where=profile.name,
        hint=msg("start it by hand; do not restore again for this"),
    )
    return first, failure


def _note_probe(plan: RestorePlan, halves: Halves, workspace: Workspace) -> None:
    """So that the folder with which the preflight tries names is found again after a kill."""
    if halves.media is None:
        return
    try:
        workspace.note_partial(halves.media.probe)
    except OSError as error:
        raise _workspace_failed(plan, error) from None


def _exchange(
    plan: RestorePlan, source: Source, halves: Halves, state: ProfileState, shield: Shield, reporter: Reporter
) -> tuple[Replaced, RunnerError | None]:
    """Stage, swap, keep; the record, and the failure of `after_restore`.

    A signal before the swap takes everything back; after it, it waits until all is done.
    """
    journal = halves.journal
    try:
        with shield.lifted():
            journal.open()
            halves.stage(source)
            if plan.profile.hooks.before_restore:
                journal.note(Step.HOOKS)
            context = HookContext(plan.profile, plan.variant, plan.names.run_id, source.label)
            run_hooks(plan.profile.hooks.before_restore, "before_restore", context, reporter)
            halves.announce_swap()
    except BaseException as error:
        _give_up(plan, halves, journal, error, reporter)
        raise
    try:
        halves.swap()
    except BaseException as error:
        if halves.taken_back:
            _started_again(plan, journal, error, reporter)
        raise
    failed = resumed(plan.profile, journal, reporter, is_in=True)  # told once the safety copies are made
    record = halves.keep(state)
    mark_undone(state, journal.begin)
    journal.end()
    return record, failed


def _give_up(plan: RestorePlan, halves: Halves, journal: Journal, error: BaseException, reporter: Reporter) -> None:
    """Nothing live was touched: remove what was staged, and let the application start again."""
    with _after(plan, error):
        halves.discard()
        resume(plan.profile, journal, reporter)
        journal.end()


def _started_again(plan: RestorePlan, journal: Journal, error: BaseException, reporter: Reporter) -> None:
    """The swap was taken back: the application starts again, and only then is the journal done with."""
    with _after(plan, error):
        try:
            resume(plan.profile, journal, reporter)
        finally:
            journal.end()


@contextmanager
def _after(plan: RestorePlan, error: BaseException) -> Iterator[None]:
    """What goes wrong here is told behind `error`, and never in its place."""
    try:
        yield
    except (RunnerError, OSError) as late:
        if not isinstance(error, RunnerError):
            raise
        told = _workspace_failed(plan, late) if isinstance(late, OSError) else late
        raise SeveralFailed((error, told)) from None


def _as_it_is(error: RunnerError, plan: RestorePlan, state: ProfileState, *, is_in: bool) -> RunnerError:
    """`error`, with an interruption told so that nobody believes something taken back that is not."""
    if isinstance(error, SeveralFailed):
        return SeveralFailed([_as_it_is(each, plan, state, is_in=is_in) for each in error.errors])
    if not isinstance(error, Interrupted):
        return error
    if is_in:
        return Interrupted(msg("interrupted when the new state was in already; it stays"))
    if _waits(state):
        return Interrupted(
            msg("interrupted in the middle of the swap"),
            hint=msg("run `runner recover {profile}`", profile=plan.profile.name),
        )
    return error


def _waits(state: ProfileState) -> bool:
    """Whether a swap has begun that is neither finished nor taken back, or nobody can tell."""
    with suppress(RunnerError, OSError):
        journal = Journal.read(state.journal_path)
        return journal is not None and journal.swap_began
    return True


def _waiting(plan: RestorePlan, state: ProfileState, error: RunnerError) -> RunnerError:
    """`error`, behind RecoveryNeeded when the swap has begun and is neither finished nor taken back."""
    if not _waits(state):
        return error
    if any(finding.code == RecoveryNeeded.code for finding in error.findings):
        return error
    waiting = RecoveryNeeded(
        msg("the {command} stopped after its swap had begun", command=plan.command),
        where=str(state.journal_path),
        hint=msg("mend what stopped it, then run `runner recover {profile}`", profile=plan.profile.name),
    )
    return SeveralFailed((waiting, error))


def _begin(plan: RestorePlan, source: Source, undone: Replaced | None = None) -> Begin:
    return Begin(
        run_id=plan.names.run_id,
        command=plan.command,
        profile=plan.profile.name,
        variant=plan.variant.value,
        archive=source.label,
        archive_id=source.archive_id,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        safety=plan.profile.restore.safety_copy.database if plan.safety_copy else "none",
        kept_database=None if plan.kept_database is None else str(plan.kept_database),
        kept_media=None if plan.kept_media is None else str(plan.kept_media),
        exclude=source.exclude,
        undoes=None if undone is None else undone.run_id,
    )


def _afterwards(plan: RestorePlan, state: ProfileState, reporter: Reporter) -> list[Finding]:
    """References against the half that was not restored, and safety copies whose time has come."""
    found: list[Finding] = []
    if plan.variant is not Variant.FULL and plan.profile.media is not None and plan.profile.media.references:
        found += missing_now(plan.profile, state.work_folder(plan.names.run_id), plan.names.timestamp)
    try:
        for path in prune_copies(plan.profile, state, datetime.now().astimezone()):
            reporter(Logged(msg("removed a safety copy whose time had come: {path}", path=path)))
    except (OSError, RunnerError) as error:
        reason = str(error)
        found.append(Finding("safety-copy.not-removed", msg("an old safety copy stays: {reason}", reason=reason)))
    for finding in found:
        reporter(Noticed(finding))
    return found


def clean_work(state: ProfileState, reporter: Reporter) -> None:
    """Remove what dead runs left in the state folder."""
    for path in state.clean_leftovers():
        reporter(Logged(msg("removed what an interrupted run left behind: {path}", path=path)))


def _place_of(record: Replaced) -> str:
    match record.database:
        case KeptOnServer(name=name):
            return name
        case KeptDump(path=path) | KeptFile(path=path):
            return path
        case None:
            return ""


def _workspace_failed(plan: RestorePlan, error: OSError) -> WorkspaceFailed:
    return WorkspaceFailed(
        msg("the restore cannot go on: {reason}", reason=error.strerror or str(error)),
        where=error.filename or str(plan.profile.state),
        hint=msg(
            "check the free space and permissions there; `runner recover {name}` says how it stands",
            name=plan.profile.name,
        ),
    )
