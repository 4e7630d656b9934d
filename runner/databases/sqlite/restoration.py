"""A SQLite database on its way back: staged beside the live file, then written into it.

The safety copy is made under the lock of that write, so nothing that anyone committed falls between the two. Nothing is
ever written into a database to tell the old state from the new: see `side`.
"""

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import msgspec

from runner.databases.base import DumpFile, DumpSource, Keep, LiveDatabase, Note, Offer, Preflight
from runner.databases.sqlite import moving
from runner.databases.sqlite.connection import (
    connect,
    copy_online,
    is_malformed,
    malformations,
    pragma,
    remove_database,
)
from runner.databases.sqlite.errors import mapped_errors
from runner.databases.sqlite.overwriting import Before, overwrite, pad
from runner.databases.sqlite.pages import compare_pages
from runner.databases.sqlite.staging import differences, flush, make_staged
from runner.databases.sqlite.survey import find_obstacles, is_readable, look_at
from runner.durable import flush_folder
from runner.errors import Finding, IntegrityError, Refused, StepFailed
from runner.lanes import Stop
from runner.messages import msg
from runner.model.manifest import DatabaseRecord, SqliteRecord
from runner.model.marks import RunNames, Side, SqliteMarks
from runner.model.profile import SqliteConfig


def open_restoration(
    config: SqliteConfig, names: RunNames, marks: SqliteMarks | None, kept: Path | None
) -> "SqliteRestoration":
    """The restoration of one file. A link is followed: its target is what is replaced.

    `marks`: as another process noted them; then they decide, and not the configuration. `kept`: where the safety copy
    goes, in a folder that is there by the time of the swap; None: none is wanted.
    """
    if marks is None:
        path = Path(os.path.realpath(config.path))
        marks = SqliteMarks(
            path=str(path),
            staged=str(names.staged(path)),
            kept=None if kept is None else os.path.abspath(kept),  # noqa: PTH100 - `absolute` keeps `..`
        )
    return SqliteRestoration(names, marks)


class SqliteRestoration:
    """See `runner.databases.base.Restoration`."""

    def __init__(self, names: RunNames, marks: SqliteMarks) -> None:
        self._marks = marks
        self._live = Path(marks.path)
        self._staged = Path(marks.staged)
        self._kept = None if marks.kept is None else Path(marks.kept)
        self._unfinished_copy = None if self._kept is None else names.staged(self._kept)
        self._replaced = names.replaced(self._live)
        self._snapshot = self._staged.with_name(f"{self._staged.name}.now")
        self._findings: tuple[Finding, ...] = ()
        self._stop = Stop()

    @property
    def label(self) -> str:
        return str(self._live)

    @property
    def has_door(self) -> bool:
        return False

    @property
    def marks(self) -> SqliteMarks:
        return self._marks

    def __enter__(self) -> "SqliteRestoration":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held between two steps."""

    def look(self, tables: Collection[str] = ()) -> LiveDatabase:  # noqa: ARG002 - a SQLite backup leaves none out
        with mapped_errors(self._live):
            return look_at(self._live)

    def preflight(self, offer: Offer) -> Preflight:
        with mapped_errors(self._live):
            return find_obstacles(self._live, self._kept, offer)

    def stage(self, source: DumpSource, record: DatabaseRecord | None, note: Note) -> None:
        """Raises IntegrityError when the dump is malformed, Refused when it or the record is no SQLite database."""
        if not isinstance(source, DumpFile) or not (record is None or isinstance(record, SqliteRecord)):
            raise Refused(
                msg("the archive does not hold a SQLite database"),
                where=self.label,
                hint=msg("choose an archive of this profile"),
            )
        with mapped_errors(self._live):
            existed = self._live.is_file()
            readable = not existed or is_readable(self._live)
            self._note(note, existed=existed, readable=readable)
            page_size = self._page_size() if existed and readable else None
        with mapped_errors(self._staged):
            self._findings = make_staged(source.path, self._staged, self._live, page_size, self._stop)

    def stop(self) -> None:
        """See `runner.databases.base.Restoration`."""
        self._stop.set()

    def findings(self) -> tuple[Finding, ...]:
        """What a person should know of the staged database, complete after `stage`; none of it is a difference."""
        return self._findings

    def compare(self, record: DatabaseRecord) -> tuple[Finding, ...]:
        if not isinstance(record, SqliteRecord):
            raise Refused(msg("the record is not of a SQLite database"), where=self.label)
        self._stop.check()
        with mapped_errors(self._staged):
            return tuple(differences(self._staged, record))

    def swap(self, note: Note, keep: Keep | None) -> None:  # noqa: ARG002 - the copy is made here, into `marks.kept`
        """Raises StepFailed, WorkspaceFailed or IntegrityError; then the old content is there, intact."""
        side = self.side()
        if side is Side.NEW:
            return
        if side is not Side.OLD:
            raise self._unclear()
        self._note(note, schema_version=None)
        with mapped_errors(self._live):
            if self._is_moved():
                self._move()
            else:
                overwrite(self._staged, self._live, self._keeping(note))

    def swap_back(self, note: Note) -> None:
        """What was written since the swap is gone then. Raises StepFailed when there is no copy to write back."""
        with mapped_errors(self._live):
            if self._is_moved():
                self._move_back()
                return
            side = self.side()
            if side is Side.OLD:
                return
            if side is not Side.NEW:
                raise self._unclear()
            if self._kept is None or not self._kept.is_file():
                raise StepFailed(
                    msg("the old SQLite database has no safety copy, so it cannot come back"),
                    where=self.label,
                    hint=msg("restore another archive; the new content is whole"),
                )

            def before(reader: sqlite3.Connection) -> None:
                # The version that this write will leave behind: from then on it says that the old state is live.
                self._note(note, schema_version=int(pragma(reader, "schema_version")) + 1)

            with closing(connect(self._kept, "ro")) as kept:
                has_pages = int(pragma(kept, "page_count")) > 1
            overwrite(self._kept if has_pages else self._padded(self._kept), self._live, before)

    def open(self) -> None:
        """Nothing was closed."""

    def side(self) -> Side:
        """OLD until `schema_version` is noted: that comes before the first page. Then, in this order:

        the live file has that version: OLD, for the swap makes it one higher. It equals the safety copy or the staged
        file, counters left out: OLD or NEW (by the version, should it equal both). Otherwise somebody has written
        since, and the pages in which the two differ tell: some are NEW's and none OLD's, or the other way round. With
        no safety copy, most of NEW's pages in place and the version to be expected mean NEW. All else is UNCLEAR.
        """
        if self._is_moved():
            with mapped_errors(self._live):
                return self._side_of_move()
        if self._marks.schema_version is None:
            return Side.OLD
        with mapped_errors(self._live):
            return self._side_of_write(self._marks.schema_version)

    def replaced(self) -> None:
        """The safety copy is made by `swap`."""

    def let_go(self, note: Note) -> None:  # noqa: ARG002 - the names are in the marks
        self._remove(self._staged, self._snapshot, self._unfinished_copy)
        if self._is_moved() and os.path.lexists(self._live):
            self._remove(self._replaced)

    def discard(self, note: Note) -> None:
        self._note(note, schema_version=None)  # without the staged file, this is what says that the old state is live
        if self._is_moved():
            with mapped_errors(self._live):
                self._bring_back()
        self._remove(self._staged, self._snapshot, self._unfinished_copy)

    def _unclear(self) -> StepFailed:
        return StepFailed(
            msg("nobody can tell which state the SQLite database is in"),
            where=self.label,
            hint=msg("nothing was written; look at the file, its safety copy and its successor beside it"),
        )

    def _is_moved(self) -> bool:
        return not (self._marks.existed and self._marks.readable)

    def _note(self, note: Note, **changes: object) -> None:
        self._marks = msgspec.structs.replace(self._marks, **changes)
        note(self._marks)

    def _page_size(self) -> int:
        with closing(connect(self._live, "rw")) as connection:
            return int(pragma(connection, "page_size"))

    def _keeping(self, note: Note) -> Before:
        def before(reader: sqlite3.Connection) -> None:
            if self._kept is not None and self._unfinished_copy is not None:
                with mapped_errors(self._kept):
                    self._keep(reader, self._unfinished_copy, self._kept)
            self._note(note, schema_version=int(pragma(reader, "schema_version")))

        return before

    def _keep(self, reader: sqlite3.Connection, unfinished: Path, kept: Path) -> None:
        """The safety copy gets its name when it is whole, checked and on the disk."""
        remove_database(unfinished)
        copy_online(reader, self._live, unfinished)
        with closing(connect(unfinished, "rw")) as copy:
            pragma(copy, "journal_mode = DELETE")
            problems = malformations(copy)
        if problems and not malformations(reader):  # a copy of what is malformed is as good as it can be
            raise IntegrityError(
                msg("the safety copy is malformed: {problems}", problems="; ".join(problems)),
                where=str(unfinished),
                hint=msg("the database itself is sound and untouched; look at the disk of the safety copies"),
            )
        flush(unfinished)
        unfinished.replace(kept)
        flush_folder(kept.parent)

    def _side_of_move(self) -> Side:
        """The new database is live when it has lost its first name, or has both for the moment of the move.

        Without a staged file (all is done, or taken back), it is the one that can be read.
        """
        if not os.path.lexists(self._live):
            return Side.OLD  # or nothing at all, which is the same: the new one is not live
        if os.path.lexists(self._staged):
            return Side.NEW if self._staged.samefile(self._live) else Side.OLD
        return Side.NEW if is_readable(self._live) else Side.OLD

    def _move(self) -> None:
        if os.path.lexists(self._live) and not self._marks.existed:
            raise moving.name_taken(self._live)
        moving.move_aside(self._live, self._replaced)
        if self._marks.existed and self._kept is not None and self._unfinished_copy is not None:
            moving.keep_aside(self._replaced, self._kept, self._unfinished_copy)
        moving.put_in_place(self._staged, self._live)

    def _move_back(self) -> None:
        if self._side_of_move() is Side.NEW:
            self._staged.unlink(missing_ok=True)  # its second name
            moving.move_aside(self._live, self._staged)
        self._bring_back()

    def _bring_back(self) -> None:
        if self._marks.existed or not os.path.lexists(self._live):
            moving.move_back(self._live, self._replaced)

    def _side_of_write(self, noted: int) -> Side:
        remove_database(self._snapshot)
        try:
            with closing(connect(self._live, "rw")) as live:  # a journal that a kill left is rolled back first
                version = int(pragma(live, "schema_version"))
                if version == noted:
                    return Side.OLD
                if not self._staged.is_file():
                    return Side.NEW if version > noted else Side.UNCLEAR  # it goes once the swap is done
                copy_online(live, self._live, self._snapshot)
            return self._side_of_pages(is_next=version == noted + 1)
        except sqlite3.DatabaseError as error:
            if is_malformed(error) or not self._live.is_file():
                return Side.UNCLEAR
            raise
        finally:
            remove_database(self._snapshot)

    def _side_of_pages(self, *, is_next: bool) -> Side:
        kept = self._kept if self._kept is not None and self._kept.is_file() else None
        found = compare_pages(self._snapshot, kept, self._staged)
        if found.is_old and found.is_new:
            return Side.NEW if is_next else Side.OLD
        if found.is_old or found.is_new:
            return Side.OLD if found.is_old else Side.NEW
        if kept is None:
            return Side.NEW if is_next and found.like_new * 2 > found.pages else Side.UNCLEAR
        if bool(found.like_old) == bool(found.like_new):
            return Side.UNCLEAR
        return Side.OLD if found.like_old else Side.NEW

    def _padded(self, kept: Path) -> Path:
        remove_database(self._snapshot)
        with closing(connect(kept, "ro")) as source:
            copy_online(source, kept, self._snapshot)
        with closing(connect(self._snapshot, "rw")) as copy:
            pad(copy)
        return self._snapshot

    def _remove(self, *paths: Path | None) -> None:
        with mapped_errors(self._live):
            for path in filter(None, paths):
                remove_database(path)
            flush_folder(self._live.parent)
