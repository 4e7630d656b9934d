"""What recovery must not guess: whether it is about the right things, and what a person can do where it cannot tell."""

from pathlib import Path

from runner.errors import RecoveryNeeded
from runner.journal import Journal
from runner.messages import Message, msg
from runner.model.marks import DatabaseMarks, PostgresqlMarks, SqliteMarks
from runner.model.profile import Profile


def check_there(profile: Profile, journal: Journal) -> None:
    """A half that was begun and that the profile has lost since must not be passed over in silence.

    Raises RecoveryNeeded.
    """
    lost = journal.database is not None and profile.database is None
    if not lost and (journal.media is None or profile.media is not None):
        return
    raise RecoveryNeeded(
        msg(
            "the interrupted restore was of {half} that the profile no longer has",
            half="a database" if lost else "media",
        ),
        where=str(profile.source),
        hint=msg("put the profile back as it was when the restore began, and run `runner recover`"),
    )


def check_same(profile: Profile, journal: Journal, marks: DatabaseMarks) -> None:
    """A profile that was changed meanwhile must not make recovery look at another database. Raises RecoveryNeeded."""
    noted = journal.database
    if isinstance(noted, PostgresqlMarks) and isinstance(marks, PostgresqlMarks):
        configured = getattr(profile.database, "name", noted.name)
        if configured != noted.name:
            raise RecoveryNeeded(
                msg("the interrupted restore was of the database `{name}`", name=noted.name),
                where=str(profile.source),
                hint=msg("put that name back into the profile and run `runner recover`"),
            )


def mend_first(profile: Profile, *, has_door: bool) -> Message:
    """The hint where a swap could neither be finished nor taken back."""
    if has_door:
        return msg(
            "mend what stopped it, then run `runner recover {profile}`; until then the database stays closed",
            profile=profile.name,
        )
    return msg("mend what stopped it, then run `runner recover {profile}`", profile=profile.name)


def way_out(profile: Profile, journal: Journal) -> Message:
    """What a person can do where nobody can tell which state the database is in."""
    marks = journal.database
    if isinstance(marks, SqliteMarks) and marks.kept is not None and Path(marks.kept).is_file():
        return msg(
            "stop the application, move `{live}` and its `-wal` and `-shm` away, copy `{kept}` there and run "
            "`runner recover {profile}`; or keep what is live with `--forward`",
            live=marks.path,
            kept=marks.kept,
            profile=profile.name,
        )
    return msg(
        "compare it with what is named here, and keep all of it until it is mended; `runner recover {profile} "
        "--forward` keeps what is live",
        profile=profile.name,
    )
