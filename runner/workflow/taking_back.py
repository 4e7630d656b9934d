"""Which restore is taken back, and what keeps one from it: `undo` asks, and a restore that tells what comes next."""

import os
from collections.abc import Sequence

from runner.errors import Refused
from runner.messages import Message, msg
from runner.model.profile import PostgresqlConfig, Profile, SqliteConfig, Variant
from runner.model.replaced import Replaced, places_of
from runner.state import ProfileState


def chosen(profile: Profile, state: ProfileState, run_id: str | None) -> Replaced:
    """The last restore, or the one whose id is `run_id` or alone begins with it. Raises Refused with what there is."""
    records = state.replaced()
    if run_id is None and (unreadable := state.unreadable()):
        raise Refused(
            msg("the record of a restore cannot be read, so nobody knows which was the last"),
            where=str(unreadable[0]),
            hint=msg("name the restore to take back with `--to`, one of {known}", known=_quoted(records) or "none"),
        )
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


_Refusal = tuple[Message, Message]
"""Why not, and what to do."""


def _obstacle(profile: Profile, state: ProfileState, record: Replaced, records: Sequence[Replaced]) -> _Refusal | None:
    return (
        _no_state(record)
        or _nothing_kept(profile, record)
        or _of_a_copied_project(state, record)
        or _of_another(profile, record)
        or _half_gone_back(record, records)
        or _beside_a_later_half(profile, record, records)
    )


def _no_state(record: Replaced) -> _Refusal | None:
    """There was none that could come back."""
    if record.created:
        message = msg("the restore {run} made the database: there was none before it to go back to", run=record.run_id)
        return message, _by_hand(record)
    if record.unreadable:
        message = msg(
            "what {run} replaced was no database that SQLite can read, so it cannot come back", run=record.run_id
        )
        return message, _by_hand(record)
    return None


def _nothing_kept(profile: Profile, record: Replaced) -> _Refusal | None:
    archives = msg("restore an archive instead: `runner list {profile}` shows them", profile=profile.name)
    made_media_alone = record.media_created and record.variant == Variant.MEDIA_ONLY.value
    if record.database is None and record.media is None and record.undone_by is not None:
        return msg("what {run} kept went back with {by}", run=record.run_id, by=record.undone_by), archives
    if record.database is None and record.media is None and not made_media_alone:
        message = msg("the {command} {run} kept no safety copy", command=record.command, run=record.run_id)
        return message, archives
    gone = next((place for place in places_of(record) if not os.path.lexists(place)), None)
    if gone is not None:
        message = msg("the safety copy of {run} is not there any more: {place}", run=record.run_id, place=gone)
        return message, archives
    return None


def _of_a_copied_project(state: ProfileState, record: Replaced) -> _Refusal | None:
    home = state.home_of(record)
    if home is None:
        return None
    message = msg("the safety copies of {run} belong to the project of {home}", run=record.run_id, home=home)
    return message, msg("this project is a copy of that one: undo it there, or restore an archive here")


def _half_gone_back(record: Replaced, records: Sequence[Replaced]) -> _Refusal | None:
    half = lost_half(record)
    if record.undone_by is None or half is None:
        return None
    message = msg(
        "the {half} of {run} went back with {undone_by}", half=half, run=record.run_id, undone_by=record.undone_by
    )
    known = _quoted([each for each in records if each.undone_by is None and (each.database or each.media)])
    return message, msg("the other half alone would make a mix; take a later run back: {known}", known=known)


def _of_another(profile: Profile, record: Replaced) -> _Refusal | None:
    """A profile that has been changed since must not bring one application's state into another."""
    pairs: list[tuple[str | None, str]] = []
    if record.database is not None and isinstance(profile.database, PostgresqlConfig):
        pairs.append((record.database_name or record.database_path, profile.database.name))
    if record.database is not None and isinstance(profile.database, SqliteConfig):
        theirs = record.database_name if record.database_path is None else os.path.realpath(record.database_path)
        pairs.append((theirs, os.path.realpath(profile.database.path)))
    if (record.media is not None or record.media_created) and profile.media is not None:
        root = None if record.media_root is None else os.path.realpath(record.media_root)
        pairs.append((root, os.path.realpath(profile.media.root)))
    for theirs, ours in pairs:
        if theirs not in (None, ours):
            message = msg(
                "what {run} replaced was `{theirs}`, and the profile names `{ours}`",
                run=record.run_id,
                theirs=theirs,
                ours=ours,
            )
            return message, msg("put that back into the profile, or restore an archive here")
    return None


def _beside_a_later_half(profile: Profile, record: Replaced, records: Sequence[Replaced]) -> _Refusal | None:
    """One half of an earlier state beside a later one of the other is a state that the application never had."""
    if profile.database is None or profile.media is None or record.variant == Variant.FULL.value:
        return None
    other = Variant.MEDIA_ONLY if record.variant == Variant.DB_ONLY.value else Variant.DB_ONLY
    later = next(
        (
            each
            for each in reversed(standing(records))
            if each.number > record.number and each.variant in (Variant.FULL.value, other.value)
        ),
        None,
    )
    if later is None:
        return None
    message = msg(
        "{later} has replaced the {half} since {run}, so the half that {run} kept would come back beside another state",
        later=later.run_id,
        half="media" if other is Variant.MEDIA_ONLY else "database",
        run=record.run_id,
    )
    hint = msg("take that one back first: `runner undo {profile} --to {run}`", profile=profile.name, run=later.run_id)
    return message, hint


def standing(records: Sequence[Replaced]) -> list[Replaced]:
    """The restores that are still in, oldest first.

    An undo takes out the restore that it went back behind, with what came after that in the same halves; the undo of
    an undo puts it in again.
    """
    undone = {record.undone_by: record for record in records if record.undone_by is not None}
    found: list[Replaced] = []
    for record in records:
        taken = undone.get(record.run_id)
        if taken is None or taken not in found:
            found.append(record)
            continue
        start = found.index(taken)
        found[start:] = [each for each in found[start:] if record.variant not in (Variant.FULL.value, each.variant)]
    return found


def _by_hand(record: Replaced) -> Message:
    """What the restore replaced is still somebody's only copy, so it is named."""
    places = places_of(record)
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
