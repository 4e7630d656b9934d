"""`runner recover`: finish or take back what a crash interrupted. It may itself be killed, and run again.

Forward once the new state of the database is live, back before that; what is live is looked up in the database and in
the file system, never guessed from the journal.
"""

from collections.abc import Sequence
from typing import Literal

from runner.errors import Finding, Interrupted, RecoveryNeeded, RunnerError, WorkspaceFailed
from runner.events import Began, Logged, Reporter
from runner.journal import Journal, Step
from runner.messages import msg
from runner.model.marks import Side
from runner.model.profile import Profile
from runner.model.report import RecoverReport
from runner.state import ProfileState
from runner.workflow.halves import Halves
from runner.workflow.keeping import mark_undone
from runner.workflow.pending import clean_up, read_journal, resumed, workspace_of
from runner.workflow.restore import DoneWithErrors, clean_work, not_started_again
from runner.workflow.shield import Shield

Direction = Literal["forward", "back"]


def recover(profile: Profile, forced: Direction | None, reporter: Reporter) -> RecoverReport:
    """Raises RecoveryNeeded when nobody can tell which state is live and nobody said where to go; RunnerError."""
    state = ProfileState.of(profile)
    with state.locked():
        journal = read_journal(state)
        if journal is None:
            state.journal_path.unlink(missing_ok=True)  # cut short in its very first line: nothing was done
            clean_work(state, reporter)
            return RecoverReport(profile.name, "nothing")
        reporter(Began("recover", journal.begin.run_id))
        done: tuple[RecoverReport, Sequence[RunnerError]] | None = None
        try:
            with Shield(lambda: reporter(Logged(msg("interrupted: the recovery is finished first")))):
                done = _recover(profile, state, journal, forced, reporter)
        except Interrupted:
            if done is None:
                raise
            late = Interrupted(msg("interrupted when the recovery was done already; it stays"))
            done = done[0], (*done[1], late)
        except OSError as error:
            raise WorkspaceFailed(
                msg("the recovery cannot go on: {reason}", reason=error.strerror or str(error)),
                where=error.filename or str(profile.state),
                hint=msg("check the free space and permissions there, and run `runner recover` again"),
            ) from None
        report, failures = done
        if failures:
            raise DoneWithErrors(report, failures)
        return report


def _recover(
    profile: Profile, state: ProfileState, journal: Journal, forced: Direction | None, reporter: Reporter
) -> tuple[RecoverReport, Sequence[RunnerError]]:
    """What was done, and the failure of `after_restore`."""
    begin = journal.begin
    warnings: tuple[Finding, ...] = ()
    failed: RunnerError | None = None
    if not journal.swap_began:
        failed = clean_up(profile, state, journal, reporter)
        outcome = "cleaned"
    else:
        with Halves(profile, journal, workspace_of(state, journal), reporter) as halves:
            forward = _goes_forward(profile, journal, halves, forced)
            if forward:
                if not journal.has(Step.OPENED):
                    halves.go_on()
                failed = resumed(profile, journal, reporter, is_in=True)
                halves.keep(state)
                mark_undone(state, begin)
            else:
                halves.take_back()
                failed = resumed(profile, journal, reporter)
            outcome = "finished" if forward else "taken-back"
            warnings = tuple(halves.warnings)
        journal.end()
    clean_work(state, reporter)
    report = RecoverReport(profile.name, outcome, begin.run_id, begin.archive, warnings)
    if failed is None:
        return report, ()
    return report, not_started_again(profile, failed) if outcome == "finished" else (failed,)


def _goes_forward(profile: Profile, journal: Journal, halves: Halves, forced: Direction | None) -> bool:
    if journal.has(Step.SWAPPED):
        return True
    side = halves.side()
    if side is Side.NEW:
        return True
    if side is Side.OLD:
        return False
    if side is Side.PARTLY:  # media alone: both ways are open, and the new state was wanted
        return forced != "back"
    if forced is None:
        raise RecoveryNeeded(
            msg(
                "nobody can tell whether the old or the new state is live, for it was changed since: {things}",
                things=journal.things,
            ),
            where=profile.name,
            hint=msg(
                "look at the application, then choose: `runner recover {profile} --forward` keeps the new state, "
                "`--back` the old one",
                profile=profile.name,
            ),
        )
    return forced == "forward"
