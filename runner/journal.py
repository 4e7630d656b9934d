"""The journal: what one restore is about to do, on the disk before it is done, so that a crash can be recovered from.

One file a profile, one JSON line a step, each flushed before the step it announces is taken. A line that a crash cut
short announced a step that was never taken, so it is passed over. The journal holds identities and names, never a
secret and never a judgement: what really happened is looked up in the database and in the file system.
"""

import threading
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from runner.durable import append_line, flush_folder
from runner.errors import RecoveryNeeded
from runner.messages import msg
from runner.model.marks import DatabaseMarks, MediaMarks, PostgresqlMarks, RunNames

FORMAT_VERSION = 1


class Step(StrEnum):
    """How far a restore has come. From SWAP on, only `runner recover` may go on after a crash."""

    BEGIN = "begin"
    MARKS = "marks"
    HOOKS = "hooks"
    SWAP = "swap"
    SWAPPED = "swapped"
    OPENED = "opened"
    RESUMED = "resumed"
    KEPT_DATABASE = "kept-database"
    KEPT_MEDIA = "kept-media"
    BACK = "back"


class Begin(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What was started. Paths are absolute; None where this restore has no such half or keeps no copy of it.

    `safety`: `dump` and `rename` as in the profile, `none` for `--no-safety-copy`. `undoes` is the run that an undo
    takes back; `exclude` are the patterns of media that stay what they are.
    """

    run_id: str
    command: str
    profile: str
    variant: str
    archive: str
    started_at: str
    archive_id: str | None = None
    safety: str = "dump"
    kept_database: str | None = None
    kept_media: str | None = None
    exclude: tuple[str, ...] = ()
    undoes: str | None = None
    format_version: int = FORMAT_VERSION

    @property
    def names(self) -> RunNames:
        return RunNames(self.run_id)


class _Line(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    step: Step
    at: str
    begin: Begin | None = None
    database: DatabaseMarks | None = None
    media: MediaMarks | None = None


class Journal:
    """One restore's journal. `database` and `media` are the newest marks, None before the first ones.

    Several threads may note at once.
    """

    def __init__(self, path: Path, begin: Begin) -> None:
        """Not on the disk before `open`. For one that is there already, use `read`."""
        self._path = path
        self.begin = begin
        self.database: DatabaseMarks | None = None
        self.media: MediaMarks | None = None
        self._steps: set[Step] = {Step.BEGIN}
        self._writing = threading.Lock()

    @classmethod
    def start(cls, path: Path, begin: Begin) -> "Journal":
        """A new journal; there must be none yet. Raises OSError."""
        journal = cls(path, begin)
        journal.open()
        return journal

    def open(self) -> None:
        """Write its first line; there must be no journal yet. Raises OSError."""
        self._append(_Line(step=Step.BEGIN, at=_now(), begin=self.begin))
        flush_folder(self._path.parent)

    @classmethod
    def read(cls, path: Path) -> "Journal | None":
        """The journal that a restore left behind; None when there is none, or it ends within its first line.

        Raises RecoveryNeeded when it is of a newer runner or its first line is damaged, OSError when it cannot be read.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        journal: Journal | None = None
        for text in content.splitlines():
            try:
                line = msgspec.json.decode(text, type=_Line)
            except (msgspec.MsgspecError, UnicodeError):
                _refuse_newer(text, path)
                continue
            if line.begin is not None and journal is None:
                journal = cls(path, line.begin)
            if journal is not None:
                journal._take(line)
        if journal is None and b"\n" in content:  # a line that a crash cut short has no end
            raise RecoveryNeeded(
                msg("the journal of an interrupted restore is damaged, so nobody can tell how far it came"),
                where=str(path),
                hint=msg(
                    "look at the application and for databases and folders that carry a run's id (`runner_old_…`, "
                    "`….old`); once its state is whole, move the journal away"
                ),
            )
        return journal

    @property
    def path(self) -> Path:
        return self._path

    def has(self, step: Step) -> bool:
        """Whether this step was announced."""
        return step in self._steps

    @property
    def swap_began(self) -> bool:
        """Whether anything live may have been touched."""
        return self.has(Step.SWAP)

    @property
    def things(self) -> str:
        """What is there besides the live state, by name, for a person who has to decide."""
        names: list[str] = []
        if isinstance(self.database, PostgresqlMarks):
            names += [self.database.staged_name, self.database.replaced_name]
        elif self.database is not None:
            names += [self.database.staged, *filter(None, [self.database.kept])]
        if self.media is not None:
            names += [self.media.staged, self.media.replaced]
        return ", ".join(names)

    def note(self, step: Step) -> None:
        """Announce a step; it is on the disk when this returns. Raises OSError."""
        self._write(_Line(step=step, at=_now()))

    def note_database(self, marks: DatabaseMarks) -> None:
        """Write the database's marks down. Raises OSError."""
        self._write(_Line(step=Step.MARKS, at=_now(), database=marks))

    def note_media(self, marks: MediaMarks) -> None:
        """Write the media's marks down. Raises OSError."""
        self._write(_Line(step=Step.MARKS, at=_now(), media=marks))

    def end(self) -> None:
        """Everything is done or taken back: the journal goes. Raises OSError when it cannot be removed.

        Were it back after a crash because the folder's flush failed, recovery would find nothing left to do.
        """
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            flush_folder(self._path.parent)

    def _write(self, line: _Line) -> None:
        with self._writing:
            self._append(line)
            self._take(line)

    def _append(self, line: _Line) -> None:
        append_line(self._path, msgspec.json.encode(line))

    def _take(self, line: _Line) -> None:
        self._steps.add(line.step)
        self.database = line.database or self.database
        self.media = line.media or self.media


def _refuse_newer(text: bytes, path: Path) -> None:
    """A line cut short is passed over; a whole one that is not understood was written by a newer runner."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return
    raise RecoveryNeeded(
        msg("an interrupted restore was begun by a newer runner; this one cannot read its journal"),
        where=str(path),
        hint=msg("run `runner recover` with the version that began it"),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
