"""What an interrupted restore left behind: cleaned up before its swap began, waited for afterwards."""

from pathlib import Path

from runner.errors import HookFailed, Interrupted, RecoveryNeeded, RunnerError, SeveralFailed, WorkspaceFailed
from runner.events import Logged, Reporter
from runner.journal import Journal, Step
from runner.messages import msg
from runner.model.profile import Profile, Variant
from runner.state import ProfileState
from runner.workflow.halves import Halves
from runner.workflow.hooks import HookContext, run_hooks


def settle(profile: Profile, state: ProfileState, reporter: Reporter) -> bool:
    """Call it with the lock held, before anything else. Returns whether something was cleaned up.

    Raises RecoveryNeeded when a restore was interrupted after its swap began: only `runner recover` goes on.
    """
    journal = read_journal(state)
    if journal is None:
        state.journal_path.unlink(missing_ok=True)  # cut short in its very first line: nothing was done
        return False
    refuse_while_swapping(profile, journal)
    failed = clean_up(profile, state, journal, reporter)
    if failed is not None:
        text = msg(
            "an interrupted {command} was cleaned up and its `after_restore` failed, so nothing else was begun",
            command=journal.begin.command,
        )
        hint = msg("start the application by hand; then run this command again")
        raise SeveralFailed((HookFailed(text, where=journal.begin.run_id, hint=hint), failed))
    return True


def refuse_while_swapping(profile: Profile, journal: Journal | None) -> None:
    """Raises RecoveryNeeded when the journal is of a restore whose swap has begun."""
    if journal is None or not journal.swap_began:
        return
    raise RecoveryNeeded(
        msg(
            "the {command} of {archive}, begun at {time}, was interrupted while it swapped the new state in",
            command=journal.begin.command,
            archive=journal.begin.archive,
            time=journal.begin.started_at,
        ),
        where=str(journal.path),
        hint=msg("run `runner recover {profile}`: it finishes it or takes it back", profile=profile.name),
    )


def clean_up(profile: Profile, state: ProfileState, journal: Journal, reporter: Reporter) -> RunnerError | None:
    """Take a restore away that never came to its swap, with everything it staged; its application is started again.

    Returns what that failed with: the rest is done then.
    """
    with Halves(profile, journal, workspace_of(state, journal), reporter) as halves:
        halves.discard()
    failed = resumed(profile, journal, reporter)
    journal.end()
    reporter(Logged(msg("cleaned up after an interrupted {command}", command=journal.begin.command)))
    return failed


def resume(profile: Profile, journal: Journal, reporter: Reporter) -> None:
    """Run `after_restore` once, where `before_restore` had begun; both halves are of one state by now."""
    if journal.has(Step.HOOKS) and not journal.has(Step.RESUMED):
        _start_again(profile, journal, reporter)


def resumed(profile: Profile, journal: Journal, reporter: Reporter, *, is_in: bool = False) -> RunnerError | None:
    """`resume`, whose failure is told once all else is done: a hook that fails each time must not keep it from its end.

    With `is_in` the restored state is in, and `after_restore` runs whether or not anything ran before it. An
    interruption ends it here, and the next run resumes again.
    """
    try:
        if is_in and not journal.has(Step.RESUMED):
            _start_again(profile, journal, reporter)
        else:
            resume(profile, journal, reporter)
    except Interrupted:
        raise
    except RunnerError as error:
        return error
    return None


def _start_again(profile: Profile, journal: Journal, reporter: Reporter) -> None:
    """Run `after_restore`, and note that it was. Raises what it fails with."""
    context = HookContext(profile, Variant(journal.begin.variant), journal.begin.run_id, journal.begin.archive)
    run_hooks(profile.hooks.after_restore, "after_restore", context, reporter)
    journal.note(Step.RESUMED)


def read_journal(state: ProfileState) -> Journal | None:
    """Raises RecoveryNeeded, WorkspaceFailed."""
    try:
        return Journal.read(state.journal_path)
    except OSError as error:
        raise WorkspaceFailed(
            msg("the journal of a restore cannot be read: {reason}", reason=error.strerror or str(error)),
            where=str(state.journal_path),
            hint=msg("check the disk and the permissions of the state folder; do not remove the journal"),
        ) from None


def workspace_of(state: ProfileState, journal: Journal) -> Path:
    """The private folder of the journal's own run."""
    return state.work_folder(journal.begin.run_id)
