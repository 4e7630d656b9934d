"""The state folder: locks, work in progress, and what is remembered from one run to the next.

.runner/
  PROFILE/
    lock              held while a run of this profile goes on; dies with its process
    work/RUN_ID/      one run's temporary files; whatever is here when the lock is free was left by a dead run
    work/RUN_ID/partials.jsonl   temporary files of that run in other folders, one path a line
    verified.jsonl    which archive was verified where and when
    made.jsonl        which archives this machine made
    last.json         what the last finished backup held, for comparison
    attempt.json      the last run that a schedule has started
    logs/RUN_ID.log   what a run did, and when
    watched           touched each minute by `runner run-due --watch`
    outcome.json      how the last backup ended, for those who are told of it
    environment       variables for the runs that a schedule starts, NAME=VALUE a line; a person's own wish
    journal.jsonl     a restore that is going on, or that was interrupted (`runner.journal`)
    replaced/RUN_ID.json   what a restore replaced and where its safety copies lie, so that it can be undone
"""

import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from runner.durable import append_line, make_private_folder, remove_tree, replace_atomically
from runner.errors import LockHeld, WorkspaceFailed
from runner.messages import msg
from runner.model.profile import Profile
from runner.model.remembered import Attempt, LastBackup, Made, Outcome, Verified
from runner.model.replaced import KeptOnServer, Replaced, at_places, places_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_WATCH_SECONDS = 180
_PARTIALS = "partials.jsonl"
_LOCK_BYTE = 1 << 30  # beyond the content: Windows forbids others to read a locked range


_RUN_ID = re.compile(r"\d{8}_\d{6}-[0-9a-f]{8}")
_Line = TypeVar("_Line")


class Workspace:
    """One run's private folder, and its temporary files elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note_partial(self, path: Path) -> None:
        """Remember a temporary file or folder elsewhere, before it is made, so that a dead run's is found again."""
        append_line(self.folder / _PARTIALS, json.dumps(str(path)).encode("ascii"))


class ProfileState:
    """The state of one profile."""

    def __init__(self, state: Path, profile: str, project: Path | None = None) -> None:
        """`project`: the folder that moves as a whole; by default the one that the state folder lies in."""
        self._state = state
        self._folder = state / profile
        self._project = project or state.parent

    @classmethod
    def of(cls, profile: Profile) -> "ProfileState":
        """The state of a profile of a project, which is the folder of its backup.yml."""
        return cls(profile.state, profile.name, profile.project)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the profile's lock. Raises LockHeld, or WorkspaceFailed when the state folder cannot be used."""
        try:
            make_private_folder(self._folder)
            _ignore_by_git(self._state)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(self._state, error) from None
        try:
            _lock(descriptor, self._folder)
            try:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            except OSError as error:
                raise unusable(self._state, error) from None
            yield
        finally:
            os.close(descriptor)

    def clean_leftovers(self) -> list[Path]:
        """Remove what dead runs left behind, and name it. Call it with the lock held.

        A temporary file that is out of reach (its disk is not connected) stays on record for the next run.
        """
        try:
            return [path for folder in sorted((self._folder / "work").glob("*")) for path in _clean(folder)]
        except OSError as error:
            raise unusable(self._state, error) from None

    def work_folder(self, run_id: str) -> Path:
        """The private folder of one run; see `workspace`."""
        return self._folder / "work" / run_id

    @contextmanager
    def workspace(self, run_id: str) -> Iterator[Workspace]:
        """A new private folder for one run; gone afterwards, with every partial file that was noted."""
        folder = self.work_folder(run_id)
        try:
            try:
                make_private_folder(folder)
            except OSError as error:
                raise unusable(self._state, error) from None
            yield Workspace(folder)
        finally:
            # What cannot be removed now is named and removed by the next run; it must not hide how this one ended.
            with suppress(OSError):
                _clean(folder)

    def last_backup(self) -> LastBackup | None:
        """None when there was none, or its record cannot be read."""
        return _record(self._folder / "last.json", LastBackup)

    def remember(self, last: LastBackup) -> None:
        """Replace the record of the last finished backup. Raises OSError."""
        make_private_folder(self._folder)
        replace_atomically(self._folder / "last.json", msgspec.json.encode(last) + b"\n")

    def record_verified(self, verified: Verified) -> None:
        """Add to the record of verifications. Raises OSError."""
        make_private_folder(self._folder)
        append_line(self._folder / "verified.jsonl", msgspec.json.encode(verified))

    def verified(self) -> list[Verified]:
        """Every verification on record, oldest first; lines that cannot be read are left out."""
        return _lines(self._folder / "verified.jsonl", Verified)

    def last_attempt(self) -> Attempt | None:
        """None when there was none, or its record cannot be read."""
        return _record(self._folder / "attempt.json", Attempt)

    def last_outcome(self) -> Outcome | None:
        """None when there was none, or its record cannot be read."""
        return _record(self._folder / "outcome.json", Outcome)

    def record_outcome(self, outcome: Outcome) -> None:
        """Replace the record of how the last backup ended. Raises OSError."""
        make_private_folder(self._folder)
        replace_atomically(self._folder / "outcome.json", msgspec.json.encode(outcome) + b"\n")

    def record_attempt(self, attempt: Attempt | None) -> None:
        """Replace the record of the last run that a schedule has started; None: there was none. Raises OSError."""
        if attempt is None:
            (self._folder / "attempt.json").unlink(missing_ok=True)
            return
        make_private_folder(self._folder)
        replace_atomically(self._folder / "attempt.json", msgspec.json.encode(attempt) + b"\n")

    def note_watching(self) -> None:
        """`runner run-due --watch` is looking after this profile now. Raises OSError."""
        make_private_folder(self._folder)
        (self._folder / "watched").touch()

    def is_watched(self) -> bool:
        """Whether it was within the last minutes. A clock that is wrong makes it no watch."""
        try:
            return abs(time.time() - (self._folder / "watched").stat().st_mtime) < _WATCH_SECONDS
        except OSError:
            return False

    @property
    def environment_path(self) -> Path:
        """Where the variables for scheduled runs stand."""
        return self._folder / "environment"

    def environment(self) -> dict[str, str]:
        """The variables for scheduled runs. Raises OSError, UnicodeError."""
        if not self.environment_path.exists():
            return {}
        lines = self.environment_path.read_text("utf-8").split("\n")
        pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
        return {name.strip(): value for name, equals, value in pairs if equals}

    def keep_environment(self, variables: Mapping[str, str]) -> None:
        """Add to the variables for scheduled runs, for this user's eyes alone. Raises OSError, UnicodeError."""
        kept = {**self.environment(), **variables}
        make_private_folder(self._folder)
        content = "".join(f"{name}={value}\n" for name, value in kept.items())
        replace_atomically(self.environment_path, content.encode("utf-8"))

    @property
    def logs(self) -> Path:
        """Where the logs of runs are."""
        return self._folder / "logs"

    @property
    def journal_path(self) -> Path:
        """Where the journal of a restore stands."""
        return self._folder / "journal.jsonl"

    def record_made(self, archive_id: str) -> None:
        """Remember that this machine made an archive. Raises OSError."""
        make_private_folder(self._folder)
        append_line(self._folder / "made.jsonl", msgspec.json.encode(Made(archive_id)))

    def has_made(self, archive_id: str) -> bool:
        """Whether this machine made the archive, as far as its state folder knows."""
        return any(made.archive_id == archive_id for made in _lines(self._folder / "made.jsonl", Made))

    def record_replaced(self, replaced: Replaced) -> None:
        """Write down, or write anew, what a restore replaced. Raises OSError."""
        folder = self._folder / "replaced"
        make_private_folder(folder)
        written = at_places(msgspec.structs.replace(replaced, home=str(self._folder)), self._inside)
        replace_atomically(folder / f"{replaced.run_id}.json", msgspec.json.encode(written) + b"\n")

    def forget_replaced(self, run_id: str) -> None:
        """The safety copies of that run are gone. Raises OSError."""
        (self._folder / "replaced" / f"{run_id}.json").unlink(missing_ok=True)

    def replaced(self) -> list[Replaced]:
        """Every restore on record, oldest first; one that cannot be read is left out, and `unreadable` names it."""
        found = [self._read_replaced(path) for path in self._replaced_paths()]
        return sorted(filter(None, found), key=lambda replaced: replaced.number)

    def unreadable(self) -> list[Path]:
        """The records of restores that cannot be read: what came before them may not be what one takes it for."""
        return [path for path in self._replaced_paths() if self._read_replaced(path) is None]

    def _replaced_paths(self) -> list[Path]:
        return sorted((self._folder / "replaced").glob("*.json"))

    def _read_replaced(self, path: Path) -> Replaced | None:
        with suppress(OSError, msgspec.MsgspecError, UnicodeError):
            read = msgspec.json.decode(path.read_bytes(), type=Replaced)
            if read.run_id == path.stem and _RUN_ID.fullmatch(read.run_id):
                return at_places(read, lambda place: str(self._project / place))
        return None

    def home_of(self, replaced: Replaced) -> str | None:
        """The project that these safety copies belong to, when this one is a copy of it; None when they are its own.

        A copied project holds copies of what lies inside it; what lies elsewhere is still the first one's.
        """
        if replaced.home is None or _same_folder(Path(replaced.home), self._folder):
            return None
        if not os.path.isfile(Path(replaced.home) / "replaced" / f"{replaced.run_id}.json"):  # noqa: PTH113 - never raises
            return None  # it was moved, and is here
        on_server = isinstance(replaced.database, KeptOnServer)
        outside = any(self._inside(place) == place for place in places_of(replaced))
        return replaced.home if on_server or outside else None

    def _inside(self, place: str) -> str:
        """Relative to the project, where it lies inside."""
        for project in (self._project, Path(os.path.realpath(self._project))):
            if Path(place).is_relative_to(project):
                return Path(place).relative_to(project).as_posix()
        return place


def _same_folder(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return one == other


def _record(path: Path, kind: type[_Line]) -> _Line | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return None


def _lines(path: Path, kind: type[_Line]) -> list[_Line]:
    """The lines of a record, oldest first; one that a crash cut short hides no other."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found: list[_Line] = []
    for line in lines:
        with suppress(msgspec.MsgspecError, UnicodeError):
            found.append(msgspec.json.decode(line, type=kind))
    return found


def _clean(folder: Path) -> list[Path]:
    """Remove one run's temporary files and its folder; returns what was removed. Raises OSError for the folder only."""
    removed: list[Path] = []
    out_of_reach: list[Path] = []
    for partial in _partials(folder):
        try:
            if partial.is_dir() and not partial.is_symlink():
                remove_tree(partial)
            else:
                partial.unlink()
            removed.append(partial)
        except FileNotFoundError:
            if not partial.parent.is_dir():
                out_of_reach.append(partial)
        except OSError:
            out_of_reach.append(partial)
    if folder.is_dir() and not folder.is_symlink():
        remove_tree(folder)
    else:
        folder.unlink(missing_ok=True)  # a file that no run of ours has made (`.DS_Store`)
    removed.append(folder)
    if out_of_reach:
        make_private_folder(folder)
        for partial in out_of_reach:
            Workspace(folder).note_partial(partial)
    return removed


def _partials(folder: Path) -> list[Path]:
    try:
        lines = (folder / _PARTIALS).read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found: list[Path] = []
    for line in lines:
        try:
            found.append(Path(json.loads(line)))
        except (ValueError, TypeError):
            continue  # cut short by a crash, so the file it names was not made yet
    return found


def _ignore_by_git(state: Path) -> None:
    """Keep the state folder out of the application's repository, whatever that ignores."""
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")


def _lock(descriptor: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            raise unusable(folder, error) from None
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        raise LockHeld(
            msg("another run of this profile is going on (process {pid})", pid=holder or "?"),
            where=str(folder / "lock"),
            hint=msg("wait for it to end; the lock goes with its process, so there is nothing to remove"),
        ) from None


def unusable(folder: Path, error: OSError | UnicodeError) -> WorkspaceFailed:
    """What to say of a state folder that cannot be read or written."""
    reason = error.strerror if isinstance(error, OSError) else None
    return WorkspaceFailed(
        msg("the state folder cannot be used: {reason}", reason=reason or str(error)),
        where=str(folder),
        hint=msg("check its permissions and free space, or set `state` in backup.yml"),
    )
