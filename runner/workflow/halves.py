"""Database and media as one thing: staged, swapped, finished or taken back together, under one journal.

Whoever has a door (PostgreSQL) goes first and stays closed until the other half is in. Without one (SQLite) the media
go first, because their way back is exact. Recovery runs the same methods in another process.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from runner.databases.base import Restoration
from runner.durable import make_private_folder
from runner.errors import Finding, IntegrityError, RecoveryNeeded, RunnerError, SeveralFailed, StepFailed
from runner.events import Noticed, Reporter, StageAdvanced, StageEnded, StageStarted
from runner.journal import Journal, Step
from runner.lanes import Stop
from runner.media.restoration import MediaRestoration
from runner.messages import msg
from runner.model.marks import Side, SqliteMarks
from runner.model.plan import Action
from runner.model.profile import DatabaseConfig, Profile
from runner.model.replaced import Kept, KeptFile, KeptOnServer, Replaced
from runner.state import ProfileState
from runner.workflow.doubts import check_same, check_there, mend_first, way_out
from runner.workflow.keeping import (
    dump_database,
    has_created,
    kept_dump,
    kept_file,
    new_record,
    not_kept,
    not_removed,
    remove_kept,
)
from runner.workflow.places import open_restoration
from runner.workflow.politeness import lanes_of
from runner.workflow.sources import Source
from runner.workflow.together import Work, one_at_a_time, together


class Halves:
    """The two halves of one restore (or one of them), with the journal that makes them one. A context manager."""

    def __init__(self, profile: Profile, journal: Journal, workspace: Path, reporter: Reporter) -> None:
        self._profile = profile
        self._journal = journal
        self._begin = journal.begin
        self._workspace = workspace
        self._reporter = one_at_a_time(reporter)
        self._held = ExitStack()
        self._database: Restoration | None = None
        self._media: MediaRestoration | None = None
        self.warnings: list[Finding] = []
        self.taken_back = False

    def __enter__(self) -> "Halves":
        """Open what this restore is about. Raises ServerUnavailable, LockHeld."""
        begin, names = self._begin, self._begin.names
        wants_database, wants_media = begin.variant != "media-only", begin.variant != "db-only"
        check_there(self._profile, self._journal)
        if wants_database and self._profile.database is not None:
            kept = None if begin.kept_database is None else Path(begin.kept_database)
            database = open_restoration(self._profile, names, self._journal.database, kept, self._workspace)
            check_same(self._profile, self._journal, database.marks)
            self._database = self._held.enter_context(database)
        if wants_media and self._profile.media is not None:
            lanes = lanes_of(self._profile)
            self._media = MediaRestoration(self._profile.media.root, names, self._journal.media, lanes=lanes)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def database(self) -> Restoration | None:
        return self._database

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def media(self) -> MediaRestoration | None:
        return self._media

    def stage(self, source: Source) -> None:
        """Both beside the live ones, and compared with what they must be. The live ones are in use meanwhile.

        At the same time, where there are two and more than one lane may work: the load is the server's work, and the
        media are the disk's. What goes wrong with one ends the other. Raises RunnerError, SeveralFailed, OSError.
        """
        found: list[Finding] = []
        both = [*self._staging_of_database(source), *self._staging_of_media(source, found)]
        if len(both) == 2 and lanes_of(self._profile) > 1:
            together(*both)
        else:
            for work in both:
                work.run()
        self._warn(*found)

    def _staging_of_database(self, source: Source) -> Iterator[Work]:
        database, record = self._database, source.record
        if database is None:
            return
        unpacking = Stop()

        def run() -> None:
            self._started(Action.STAGE_DATABASE, None)
            lanes = lanes_of(self._profile)
            dump = source.dump(self._workspace, lanes, lambda _bytes: unpacking.check())
            database.stage(dump, record, self._journal.note_database)
            self._warn(*database.findings())
            self._reporter(StageEnded(Action.STAGE_DATABASE))
            if record is not None:
                self._started(Action.COMPARE, None)
                self._raise_differences(database.compare(record))
                self._reporter(StageEnded(Action.COMPARE))

        def stop() -> None:
            unpacking.set()
            database.stop()

        yield Work(run, stop)

    def _staging_of_media(self, source: Source, found: list[Finding]) -> Iterator[Work]:
        media = self._media
        if media is None:
            return

        def run() -> None:
            self._started(Action.STAGE_MEDIA, source.media_bytes())
            advance = _advance(self._reporter, Action.STAGE_MEDIA)
            found.extend(source.stage_media(media, self._journal.note_media, advance))
            self._reporter(StageEnded(Action.STAGE_MEDIA))

        yield Work(run, media.stop)

    def announce_swap(self) -> None:
        """The last thing that may fail without a trace: a place for the safety copy, and the word in the journal."""
        if self._database is not None and self._kept_database is not None and not self._created():
            make_private_folder(self._kept_database.parent)
        if self._media is not None:
            self._media.check_live()
        self._journal.note(Step.SWAP)

    def swap(self) -> None:
        """Both halves in, or none. Raises what stopped it; `taken_back` says whether all is as it was.

        The journal is not ended then: the application may still have to be started again.
        """
        self._started(Action.SWAP, None)
        try:
            self._forward()
        except BaseException as error:
            self._back_after(error)
            raise
        self._let_in()
        self._reporter(StageEnded(Action.SWAP))

    def side(self) -> Side:
        """Which state is live: the database decides, where there is one."""
        if self._database is not None:
            return self._database.side()
        return Side.NEW if self._media is None else self._media.side()

    def go_on(self) -> None:
        """After a crash: the rest of `swap`. May be called again.

        A database of which nobody can tell the state is taken as it is: whoever sent us forward has looked at it.
        """
        if self._database is not None and self._database.side() is Side.UNCLEAR:
            self._swap_media()
        else:
            self._forward()
        self._let_in()

    def take_back(self) -> None:
        """Everything as it was before. May be called again. Raises RunnerError when it cannot be done now.

        Where nobody can tell which state the database is in, nothing is touched: what would be removed may be the only
        copy of the old state.
        """
        if self._database is not None and self._database.side() is Side.UNCLEAR:
            raise StepFailed(
                msg(
                    "nobody can tell which state the database is in, so nothing was touched: {things}",
                    things=self._journal.things,
                ),
                where=self._database.label,
                hint=way_out(self._profile, self._journal),
            )
        self._journal.note(Step.BACK)
        was_live = False
        if self._media is not None and self._journal.media is not None:
            was_live = self._media.side() is Side.NEW
            if self._media.side() is not Side.OLD:
                self._media.swap_back(self._journal.note_media)
        if self._database is not None and self._database.side() is Side.NEW:
            self._database.swap_back(self._journal.note_database)
        self.discard(keep_media=was_live and self._may_have_been_used())
        remove_kept(self._kept_database, self._begin.names)

    def discard(self, *, keep_media: bool = False) -> None:
        """Remove what was staged; the old state is live. May be called again."""
        if self._database is not None and self._journal.database is not None:
            self._database.discard(self._journal.note_database)
        if self._media is None or self._journal.media is None:
            return
        if keep_media:
            message = msg("the new media folder was live for a while, so it is kept: an application may have used it")
            hint = msg("look for files that are newer than the restore; then remove it")
            self._warn(Finding("restore.media-kept", message, self._journal.media.staged, hint))
        else:
            self._media.discard()

    def keep(self, state: ProfileState) -> Replaced:
        """Safety copies of what was replaced, proven and on record; then the originals go. May be called again.

        What cannot be copied stays where it is, on record too, with a warning.
        """
        earlier = state.replaced()
        record = next((each for each in earlier if each.run_id == self._begin.run_id), None)
        if record is None:
            record = new_record(self._journal, None if self._database is None else self._database.label, earlier)
        if self._database is not None and not self._journal.has(Step.KEPT_DATABASE):
            record = self._keep_database(self._database, record, state)
            self._journal.note(Step.KEPT_DATABASE)
        if self._media is not None and not self._journal.has(Step.KEPT_MEDIA):
            record = self._keep_media(self._media, record, state)
            self._journal.note(Step.KEPT_MEDIA)
        state.record_replaced(record)
        return record

    def _forward(self) -> None:
        if self._database is None or self._has_door:
            self._swap_database()
            self._swap_media()
        else:
            self._swap_media()
            self._swap_database()

    def _swap_database(self) -> None:
        if self._database is not None and self._database.side() is not Side.NEW:
            keep = None if self._begin.safety == "none" else self._keep_inside
            self._database.swap(self._journal.note_database, keep)

    def _swap_media(self) -> None:
        if self._media is not None and self._media.side() is not Side.NEW:
            self._media.swap(self._journal.note_media)

    def _let_in(self) -> None:
        self._journal.note(Step.SWAPPED)
        if self._media is not None:
            self._media.carry(self._begin.exclude)
        if self._database is not None:
            self._database.open()
        self._journal.note(Step.OPENED)

    def _back_after(self, error: BaseException) -> None:
        """Take back what was begun. Raises RecoveryNeeded with both errors where that fails too."""
        try:
            self.take_back()
            self.taken_back = True
        except (RunnerError, OSError) as failed:
            waiting = RecoveryNeeded(
                msg(
                    "the restore stopped in the middle of its swap and could not be taken back: {reason}", reason=failed
                ),
                where=self._profile.name,
                hint=mend_first(self._profile, has_door=self._has_door),
            )
            raise SeveralFailed((waiting, error) if isinstance(error, RunnerError) else (waiting,)) from None

    def _keep_inside(self, config: DatabaseConfig) -> None:
        """The engine calls this when its old content can still be read and can no longer change."""
        if self._kept_database is not None:
            dump_database(config, self._kept_database, self._begin.names, self._workspace, lanes_of(self._profile))

    def _keep_database(self, database: Restoration, record: Replaced, state: ProfileState) -> Replaced:
        kept: Kept | None = None
        if self._begin.safety != "none" and not record.created:
            kept = record.database or self._kept(database)
            record = msgspec.structs.replace(record, database=kept)
            state.record_replaced(record)
        away = isinstance(kept, KeptFile) and kept.sha256 is None and record.unreadable
        if not isinstance(kept, KeptOnServer) and not away:  # what was moved aside goes once its copy was seen
            try:
                database.let_go(self._journal.note_database)
            except RunnerError as error:
                self._warn(not_removed(error.findings, f"{database.label}: {self._begin.names.replaced_database}"))
        return record

    def _kept(self, database: Restoration) -> Kept | None:
        marks = database.marks
        if isinstance(marks, SqliteMarks):
            return None if marks.kept is None else kept_file(Path(marks.kept), self._warn)
        if marks.way == "in-place":
            return kept_dump(self._kept_database)
        on_server = None if marks.live_oid is None else KeptOnServer(marks.replaced_name, marks.live_oid)
        return self._dumped(database) or on_server

    def _dumped(self, database: Restoration) -> Kept | None:
        """The dump of the database that the swap left behind; None when it is to stay on the server, or has to."""
        if self._kept_database is None:
            return None
        if (done := kept_dump(self._kept_database)) is not None:
            return done
        try:
            config = database.replaced()
            if config is not None:
                self._started(Action.KEEP, None)
                dump_database(config, self._kept_database, self._begin.names, self._workspace, lanes_of(self._profile))
                self._reporter(StageEnded(Action.KEEP))
        except RunnerError as error:
            self._warn(not_kept(error.findings, f"{database.label}: {self._begin.names.replaced_database}"))
        return kept_dump(self._kept_database)

    def _keep_media(self, media: MediaRestoration, record: Replaced, state: ProfileState) -> Replaced:
        if self._begin.kept_media is None:
            media.let_go(self._journal.note_media)
            self._tell_not_removed(media)
            return record
        try:
            kept = media.keep(
                Path(self._begin.kept_media), self._journal.note_media, _advance(self._reporter, Action.KEEP)
            )
        except RunnerError as error:
            kept = Path(media.marks.replaced)
            self._warn(not_kept(error.findings, str(kept)))
        record = msgspec.structs.replace(record, media=None if kept is None else str(kept))
        state.record_replaced(record)
        self._tell_not_removed(media)
        return record

    def _tell_not_removed(self, media: MediaRestoration) -> None:
        if media.not_removed is not None:
            self._warn(not_removed((media.not_removed,), media.not_removed.where or media.marks.replaced))

    @property
    def _kept_database(self) -> Path | None:
        return None if self._begin.kept_database is None else Path(self._begin.kept_database)

    def _created(self) -> bool:
        return has_created(self._journal.database)

    def _may_have_been_used(self) -> bool:
        """Whether an application could reach the new media: not behind a closed door, nor if they are an old root."""
        adopted = self._journal.media is not None and self._journal.media.origin is not None
        return not adopted and not self._has_door

    @property
    def _has_door(self) -> bool:
        return self._database is not None and self._database.has_door

    def _raise_differences(self, differences: tuple[Finding, ...]) -> None:
        if not differences:
            return
        errors = [
            IntegrityError(each.message, where=each.where, hint=each.hint or msg("nothing live was touched"))
            for each in differences
        ]
        raise SeveralFailed(errors) if len(errors) > 1 else errors[0]

    def _started(self, action: Action, total: int | None) -> None:
        self._reporter(StageStarted(action, _TITLES[action], total))

    def _warn(self, *findings: Finding) -> None:
        for finding in findings:
            self.warnings.append(finding)
            self._reporter(Noticed(finding))


_TITLES = {
    Action.STAGE_DATABASE: msg("load the database beside the live one"),
    Action.STAGE_MEDIA: msg("unpack the media beside the live ones"),
    Action.COMPARE: msg("compare the database with what it must be"),
    Action.SWAP: msg("swap both halves in"),
    Action.KEEP: msg("keep what was replaced as a safety copy"),
}


def _advance(reporter: Reporter, action: Action) -> Callable[[int], object]:
    return lambda amount: reporter(StageAdvanced(action, amount))
