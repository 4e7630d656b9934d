"""Which restore is taken back, and what keeps one from it: `undo` asks, and a restore that tells what comes next."""

from collections.abc import Sequence

from runner.errors import Refused
from runner.messages import Message, msg
from runner.model.profile import Profile, Variant
from runner.state import KeptDump, KeptFile, ProfileState, Replaced


def chosen(profile: Profile, state: ProfileState, run_id: str | None) -> Replaced:
    """The last restore, or the one whose id is `run_id` or alone begins with it. Raises Refused with what there is."""
    records = state.replaced()
    fitting = records[-1:] if run_id is None else _named(records, run_id)
    if len(fitting) == 1:
        if (refused := obstacle(profile, state, fitting[0], records)) is not None:
            raise refused
        return fitting[0]
    if not records:
        raise Refused(
            msg("there is no restore of `{profile}` to take back", profile=profile.name), where=str(profile.state)
        )
    message = (
        msg("`--to {run}` may mean any of {count} restores", run=run_id, count=len(fitting))
        if fitting
        else msg("no restore of `{profile}` on record is called `{run}`", profile=profile.name, run=run_id)
    )
    raise Refused(
        message,
        where=profile.name,
        hint=msg("name one of them: {known}", known=_quoted(fitting or records)),
    )


def obstacle(profile: Profile, state: ProfileState, record: Replaced, records: Sequence[Replaced]) -> Refused | None:
    """Why this restore cannot be taken back, if it cannot; the hint says where what it replaced lies."""
    found = _obstacle(profile, state, record, records)
    return None if found is None else Refused(found[0], where=profile.name, hint=found[1])


def lost_half(record: Replaced) -> str | None:
    """The half that this restore replaced and of which no safety copy is on record."""
    if record.variant != Variant.FULL.value:
        return None
    if record.database is None:
        return "database"
    return "media" if record.media is None and not record.media_created else None


def _obstacle(
    profile: Profile, state: ProfileState, record: Replaced, records: Sequence[Replaced]
) -> tuple[Message, Message] | None:
    run = record.run_id
    if record.created:
        message = msg("the restore {run} made the database: there was none before it to go back to", run=run)
        return message, _by_hand(record)
    if record.unreadable:
        message = msg("what {run} replaced was no database that SQLite can read, so it cannot come back", run=run)
        return message, _by_hand(record)
    made_media_alone = record.media_created and record.variant == Variant.MEDIA_ONLY.value
    if record.database is None and record.media is None and not made_media_alone:
        message = msg("the {command} {run} kept no safety copy that is still there", command=record.command, run=run)
        return message, msg("restore an archive instead: `runner list {profile}` shows them", profile=profile.name)
    if (home := state.home_of(record)) is not None:
        message = msg("the safety copies of {run} belong to the project of {home}", run=run, home=home)
        return message, msg("this project is a copy of that one: undo it there, or restore an archive here")
    if record.undone_by is not None and (half := lost_half(record)) is not None:
        message = msg("the {half} of {run} went back with {undone_by}", half=half, run=run, undone_by=record.undone_by)
        known = _quoted([each for each in records if each.undone_by is None])
        return message, msg("the other half alone would make a mix; take a later run back: {known}", known=known)
    return None


def _by_hand(record: Replaced) -> Message:
    """What the restore replaced is still somebody's only copy, so it is named."""
    places = [record.database.path] if isinstance(record.database, KeptDump | KeptFile) else []
    places += [] if record.media is None else [record.media]
    if not places:
        return msg("restore an archive instead, or remove the database by hand")
    return msg("restore an archive instead; what it replaced is kept: {places}", places=", ".join(places))


def _named(records: Sequence[Replaced], run_id: str) -> list[Replaced]:
    """The one of that id, or all whose id begins so."""
    exact = [record for record in records if record.run_id == run_id]
    return exact or [record for record in records if run_id and record.run_id.startswith(run_id)]


def _quoted(records: Sequence[Replaced]) -> str:
    """Their ids, the newest first."""
    return ", ".join(f"`{record.run_id}`" for record in reversed(records))
