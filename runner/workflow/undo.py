"""`runner undo`: the state before the last restore comes back, by the same staged swap, and can itself be undone."""

from collections.abc import Iterator

from runner.errors import Finding
from runner.events import Began, Reporter
from runner.messages import msg
from runner.model.marks import RunNames
from runner.model.plan import RestorePlan
from runner.model.profile import Profile, Variant
from runner.model.replaced import Replaced
from runner.model.report import RestoreReport
from runner.planning.restore import RestoreWish, plan_restore
from runner.state import ProfileState
from runner.workflow.hooks import HookContext, failures_told
from runner.workflow.inspection import Circumstances, Confirm, Prepared
from runner.workflow.pending import settle
from runner.workflow.politeness import make_way
from runner.workflow.restore import carry_out, clean_work, look_ahead, refuse_interrupted
from runner.workflow.sources import SafetySource
from runner.workflow.taking_back import chosen, lost_half


def undo(profile: Profile, run_id: str | None, names: RunNames, confirm: Confirm, reporter: Reporter) -> RestoreReport:
    """Take the last restore (or undo) back, or with `run_id` go back to the state before that one.

    Raises Refused when there is nothing to go back to, and RunnerError as `restore` does.
    """
    state = ProfileState.of(profile)
    context = HookContext(profile, profile.natural_variant, names.run_id)
    make_way(profile, reporter)
    with failures_told(context, reporter), state.locked():
        reporter(Began("undo", names.run_id))
        settle(profile, state, reporter)
        clean_work(state, reporter)
        replaced = chosen(profile, state, run_id)
        plan, source = _plan(profile, replaced, names)
        return carry_out(plan, source, state, confirm, reporter, _circumstances(replaced))


def examine_undo(profile: Profile, run_id: str | None, names: RunNames, reporter: Reporter) -> Prepared:
    """Everything up to the question, and nothing more: for a dry run. Raises RunnerError."""
    state = ProfileState.of(profile)
    refuse_interrupted(profile, state)
    replaced = chosen(profile, state, run_id)
    plan, source = _plan(profile, replaced, names)
    return look_ahead(plan, source, state, reporter, _circumstances(replaced))


def _plan(profile: Profile, replaced: Replaced, names: RunNames) -> tuple[RestorePlan, SafetySource]:
    source = SafetySource(replaced)
    wish = RestoreWish("undo", source.shown, Variant(source.offered), compared=source.record is not None)
    return plan_restore(profile, source.offered, wish, names), source


def _circumstances(replaced: Replaced) -> Circumstances:
    return Circumstances(trusted=True, found=tuple(_halves_missing(replaced)), undone=replaced)


def _halves_missing(record: Replaced) -> Iterator[Finding]:
    if record.media_created:
        text = msg("there was no media folder before {run}: an empty one comes back", run=record.run_id)
        yield Finding("undo.empty-media", text)
    half = lost_half(record)
    if half is not None:
        yield Finding(
            "undo.half",
            msg(
                "of {run} there is no safety copy of the {half}: it stays as it is; only the other half goes back",
                run=record.run_id,
                half=half,
            ),
        )
