"""What a restore is about to do, looked at before anything is touched: the question for a person, and the refusals."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runner.databases.base import LiveDatabase, Restoration
from runner.errors import Finding
from runner.media.restoration import MediaRestoration
from runner.media.site import LiveMedia
from runner.messages import msg
from runner.model.manifest import PostgresqlRecord
from runner.model.marks import PostgresqlMarks
from runner.model.plan import Action, RestorePlan
from runner.model.replaced import Replaced
from runner.workflow.halves import Halves
from runner.workflow.sources import Source

_BYTES_A_FILE = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """What a person has to confirm: what will be replaced by what, and everything that is odd about it."""

    plan: RestorePlan
    database: LiveDatabase | None
    media: LiveMedia | None
    foreign: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    lost: tuple[Finding, ...]
    notes: tuple[Finding, ...] = ()
    """What the backup leaves out because its profile says so."""


Confirm = Callable[[Question], None]
"""Asks the person. Raises Refused when the answer is no, or when nobody can be asked."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An opened and verified source, with its plan and all that is known before anything is touched."""

    plan: RestorePlan
    source: Source
    question: Question
    errors: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a source besides its content. `undone`: the run that an undo takes back."""

    trusted: bool
    found: tuple[Finding, ...] = ()
    lost: tuple[Finding, ...] = ()
    undone: Replaced | None = None


def inspect(plan: RestorePlan, source: Source, halves: Halves, circumstances: Circumstances) -> Prepared:
    """What is live, what comes, and all that stands in the way. Raises RunnerError when nothing can be known."""
    errors: list[Finding] = []
    found = circumstances.found
    warnings = [finding for finding in found if finding.code != "restore.foreign"]
    database: LiveDatabase | None = None
    media: LiveMedia | None = None
    if halves.database is not None:
        database = halves.database.look(_tables_left_out(source))
        preflight = halves.database.preflight(source.offer(trusted=circumstances.trusted))
        errors += preflight.errors
        warnings += preflight.warnings
        errors += _not_kept(plan, halves.database)
    if halves.media is not None:
        media = halves.media.look()
        checked = halves.media.preflight(source.media_paths(), source.media_bytes())
        errors += checked.errors
        warnings += checked.warnings
    if (database is not None and database.exists) or (media is not None and media.exists):
        unusable = list(_no_place(plan.kept_database or plan.kept_media))
        errors += unusable
        if halves.media is not None and media is not None and not unusable:
            errors += _no_room(plan.kept_media, halves.media, media)
    notes = tuple(_left_out(source, database, halves.media))
    if halves.database is not None and _is_in_place(halves.database):
        plan = _with_the_way(plan)
        notes += (Finding("restore.in-place", _IN_PLACE, halves.database.label),)
    foreign = [finding for finding in found if finding.code == "restore.foreign"]
    if halves.database is not None and circumstances.undone is not None:
        foreign += _elsewhere(circumstances.undone, halves.database)
    question = Question(plan, database, media, tuple(foreign), tuple(warnings), circumstances.lost, notes)
    return Prepared(plan, source, question, tuple(errors))


_IN_PLACE = msg(
    "this role may not create databases, so the content is replaced in place: nobody can connect while that goes on"
)


def _is_in_place(database: Restoration) -> bool:
    return isinstance(database.marks, PostgresqlMarks) and database.marks.way == "in-place"


def _with_the_way(plan: RestorePlan) -> RestorePlan:
    """The plan as it is where no database can be staged, which only the server tells."""
    title = msg("unpack the dump and check it; it is loaded at the swap, in the place of what is live")
    steps = tuple(
        replace(step, title=title, writes=tuple(place for place in step.writes if place != plan.names.staged_database))
        if step.action is Action.STAGE_DATABASE
        else step
        for step in plan.steps
    )
    return replace(plan, steps=steps)


def _not_kept(plan: RestorePlan, database: Restoration) -> Iterator[Finding]:
    """A database that is replaced in place cannot stay on the server under another name."""
    if _is_in_place(database) and plan.safety_copy and plan.kept_database is None:
        yield Finding(
            "restore.not-kept",
            msg("this role may not make databases, so the old one cannot stay on the server as its safety copy"),
            database.label,
            msg("set `restore.safety_copy.database: dump`, or name a role in `restore.admin` that may make databases"),
        )


def _elsewhere(undone: Replaced, database: Restoration) -> Iterator[Finding]:
    """A database of the same name on another server, or the same server by another name: a person knows which."""
    if undone.database_name is None or undone.database_label in (None, database.label):
        return
    message = msg(
        "what {run} replaced was {theirs}, and this is {ours}",
        run=undone.run_id,
        theirs=undone.database_label,
        ours=database.label,
    )
    yield Finding("restore.foreign", message, database.label)


def _no_room(copy: Path | None, media: MediaRestoration, live: LiveMedia) -> Iterator[Finding]:
    """Media that are kept on another disk are copied there."""
    if copy is None or not live.exists:
        return
    there = next((path for path in copy.parents if os.path.isdir(path)), None)  # noqa: PTH112 - never raises
    if there is None or media.lies_on(there):
        return
    free, needed = shutil.disk_usage(there).free, live.bytes + live.files * _BYTES_A_FILE
    if free < needed:
        message = msg("{free} bytes are free for the safety copy, the media need {needed}", free=free, needed=needed)
        hint = msg("free some space there, or set `restore.safety_copy.path` to a folder on the disk of the media")
        yield Finding("preflight.space", message, str(there), hint)


def _no_place(copy: Path | None) -> Iterator[Finding]:
    """The folder of the safety copies, looked at before anything is touched: no swap may fail for the want of it."""
    if copy is None:
        return
    folder = copy.parent
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    if there is None:
        message = msg("the safety copy cannot be put there: `{path}` is not connected", path=folder.anchor)
        hint = msg("connect it, or set another `restore.safety_copy.path`")
    elif there.is_symlink() and not there.exists():
        message = msg("the safety copy cannot be put there: `{path}` is a link to what is not there", path=there)
        hint = msg("mount the disk it leads to, or set another `restore.safety_copy.path`")
    elif not there.is_dir():
        message = msg("the safety copy cannot be put there: `{path}` is not a folder", path=there)
        hint = msg("set `restore.safety_copy.path` to a folder, or move that file away")
    elif not os.access(there, os.W_OK | os.X_OK):
        message = msg("the safety copy cannot be put there: `{path}` cannot be written to", path=there)
        hint = msg("check its permissions and whether its disk is read-only, or set another `restore.safety_copy.path`")
    else:
        return
    yield Finding("preflight.safety-copy", message, str(folder), hint)


def _tables_left_out(source: Source) -> tuple[str, ...]:
    """The tables whose rows are not in the backup because its profile said so."""
    if not isinstance(source.record, PostgresqlRecord):
        return ()
    return tuple(table.name for table in source.record.tables if table.rows is None)


def _left_out(source: Source, database: LiveDatabase | None, media: MediaRestoration | None) -> Iterator[Finding]:
    """What the backup leaves out because its profile said so, and how much of it is live."""
    if database is not None:
        yield from _emptied(_tables_left_out(source), database)
    if media is not None and source.exclude:
        files, size_bytes = media.count_excluded(source.exclude)
        text = msg(
            "files that match {patterns} are not in the backup; those that are live stay: {files} now, {bytes} bytes",
            patterns=", ".join(source.exclude),
            files=files,
            bytes=size_bytes,
        )
        yield Finding("restore.left-out", text)


def _emptied(tables: tuple[str, ...], database: LiveDatabase) -> Iterator[Finding]:
    for table in tables:
        text = msg("the table `{table}` was left out of the backup, so it comes back empty", table=table)
        if table in database.counted:
            text = msg(
                "the table `{table}` was left out of the backup, so it comes back empty; rows in it now: {rows}",
                table=table,
                rows=database.counted[table],
            )
        yield Finding("restore.left-out", text)
