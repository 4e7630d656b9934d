"""A database that is put in its place by a rename: where there is none, or none that SQLite can read.

The old file and its sidecars are one: they leave together, the file last and come back together, the file last, so that
no journal is ever found beside a database that it does not belong to.
"""

import os
import shutil
from pathlib import Path

from runner.databases.sqlite.connection import sidecars
from runner.databases.sqlite.staging import flush
from runner.durable import create_private, flush_folder, move_into_place
from runner.errors import StepFailed
from runner.messages import msg


def put_in_place(staged: Path, live: Path) -> None:
    """Give the new database its name. Raises StepFailed when the name is taken, OSError."""
    for sidecar in sidecars(live):
        if os.path.lexists(sidecar):
            raise name_taken(sidecar)
    try:
        move_into_place(staged, live)
    except FileExistsError:
        raise name_taken(live) from None


def move_aside(live: Path, replaced: Path) -> None:
    """May be called again after a crash in its middle. Raises OSError."""
    for source, target in zip((*sidecars(live), live), (*sidecars(replaced), replaced), strict=True):
        if os.path.lexists(source) and not os.path.lexists(replaced):
            source.replace(target)
    flush_folder(live.parent)


def move_back(live: Path, replaced: Path) -> None:
    """Undo `move_aside`, wherever it stopped; nothing is done when a database has the name. Raises OSError."""
    if os.path.lexists(live) and os.path.lexists(replaced):
        return
    for source, target in zip((*sidecars(replaced), replaced), (*sidecars(live), live), strict=True):
        if os.path.lexists(source):
            source.replace(target)
    flush_folder(live.parent)


def keep_aside(replaced: Path, kept: Path, temporary: Path) -> None:
    """Copy what was moved aside, byte by byte: nothing else can be done with what is no database. Raises OSError."""
    for source, target in zip((*sidecars(replaced), replaced), (*sidecars(kept), kept), strict=True):
        if not os.path.lexists(source):
            continue
        temporary.unlink(missing_ok=True)
        with source.open("rb") as old, create_private(temporary) as new:
            shutil.copyfileobj(old, new, 1 << 20)
        flush(temporary)
        temporary.replace(target)
    flush_folder(kept.parent)


def name_taken(path: Path) -> StepFailed:
    return StepFailed(
        msg("a file has appeared where the database is to be put"),
        where=str(path),
        hint=msg("stop the application, move that file away, and try again"),
    )
