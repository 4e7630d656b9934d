"""`runner undo`: the state before the last restore comes back, by the same staged swap, and can itself be undone."""

from collections.abc import Iterator

from runner.errors import Finding, Refused
from runner.events import Reporter
from runner.messages import msg
from runner.model.marks import RunNames
from runner.model.profile import Profile, Variant
from runner.model.report import RestoreReport
from runner.planning.restore import RestoreWish, plan_restore
from runner.state import ProfileState, Replaced
from runner.workflow.hooks import HookContext, failures_told
from runner.workflow.inspection import Circumstances, Confirm
from runner.workflow.keeping import undo_target
from runner.workflow.pending import settle
from runner.workflow.restore import carry_out, clean_work
from runner.workflow.sources import SafetySource


def undo(profile: Profile, run_id: str | None, names: RunNames, confirm: Confirm, reporter: Reporter) -> RestoreReport:
    """Take the last restore (or undo) back, or with `run_id` go back to the state before that one.

    Raises Refused when there is nothing to go back to, and RunnerError as `restore` does.
    """
    state = ProfileState(profile.state, profile.name)
    context = HookContext(profile, profile.natural_variant, names.run_id)
    with failures_told(context, reporter), state.locked():
        settle(profile, state, reporter)
        clean_work(state, reporter)
        replaced = _chosen(profile, state, run_id)
        source = SafetySource(replaced)
        wish = RestoreWish("undo", source.label, Variant(source.offered))
        plan = plan_restore(profile, source.offered, wish, names)
        circumstances = Circumstances(trusted=True, found=tuple(_halves_missing(replaced)), undone=replaced)
        return carry_out(plan, source, state, confirm, reporter, circumstances)


def _chosen(profile: Profile, state: ProfileState, run_id: str | None) -> Replaced:
    records = state.replaced()
    chosen = undo_target(state)
    if run_id is not None:
        chosen = next((record for record in records if record.run_id.startswith(run_id)), None)
    if chosen is None:
        known = ", ".join(f"`{record.run_id}`" for record in reversed(records)) or "none"
        raise Refused(
            msg("there is no restore of `{profile}` to take back", profile=profile.name),
            where=str(profile.state),
            hint=msg("restores on record: {known}", known=known),
        )
    if chosen.created:
        raise Refused(
            msg("the restore {run} made the database: there was none before it to go back to", run=chosen.run_id),
            where=profile.name,
            hint=msg("restore an archive instead, or drop the database by hand"),
        )
    made_media_alone = chosen.media_created and chosen.variant == Variant.MEDIA_ONLY.value
    if chosen.database is None and chosen.media is None and not made_media_alone:
        raise Refused(
            msg(
                "the {command} {run} kept no safety copy that is still there", command=chosen.command, run=chosen.run_id
            ),
            where=profile.name,
            hint=msg("restore an archive instead: `runner list {profile}` shows them", profile=profile.name),
        )
    if chosen.undone_by is not None and _lost_half(chosen) is not None:
        raise Refused(
            msg(
                "the {half} of {run} went back with {undone_by}",
                half=_lost_half(chosen),
                run=chosen.run_id,
                undone_by=chosen.undone_by,
            ),
            where=profile.name,
            hint=msg(
                "the other half alone would make a mix; take a later run back: {known}",
                known=", ".join(f"`{record.run_id}`" for record in reversed(records) if record.undone_by is None),
            ),
        )
    return chosen


def _lost_half(record: Replaced) -> str | None:
    """The half that this restore replaced and of which no safety copy is on record."""
    if record.variant == "full" and record.database is None:
        return "database"
    is_lost = record.variant == "full" and record.media is None and not record.media_created
    return "media" if is_lost else None


def _halves_missing(record: Replaced) -> Iterator[Finding]:
    if record.media_created:
        text = msg("there was no media folder before {run}: an empty one comes back", run=record.run_id)
        yield Finding("undo.empty-media", text)
    half = _lost_half(record)
    if half is not None:
        yield Finding(
            "undo.half",
            msg(
                "of {run} there is no safety copy of the {half}: it stays as it is; only the other half goes back",
                run=record.run_id,
                half=half,
            ),
        )
