"""What a restore replaced and where its safety copies lie, as it stands in the state folder."""

from collections.abc import Callable

import msgspec

from runner.model.manifest import DatabaseRecord


class KeptDump(msgspec.Struct, frozen=True, tag="dump"):
    """The replaced PostgreSQL database as a dump in directory format, and what it holds."""

    path: str
    record: DatabaseRecord


class KeptFile(msgspec.Struct, frozen=True, tag="file"):
    """The replaced SQLite database as a file. `sha256`: of its content when it was made; None in older records."""

    path: str
    sha256: str | None = None


class KeptOnServer(msgspec.Struct, frozen=True, tag="server"):
    """The replaced PostgreSQL database itself, on its server under another name."""

    name: str
    oid: int


Kept = KeptDump | KeptFile | KeptOnServer


class Replaced(msgspec.Struct, frozen=True, omit_defaults=True):
    """One restore (or undo), and the safety copies of the state that it replaced.

    `database` and `media` None: that half was not replaced, was not there before, or its copy is gone or not wanted.
    `created`: the restore made the database, so there is nothing to go back to. `media_created`: it made the media
    root, so an empty one is what to go back to. `unreadable`: what it replaced was no database. `number` counts the
    restores of a profile: which one is the last must not hang on a clock. Paths are absolute here; on the disk those
    inside the project are relative to it, so that a project and its safety copies move together. `home`: the state
    folder of the project that wrote this. What was replaced: `database_name` on a server or `database_path`, as
    `database_label` calls it for people, and `media_root`; None in records of older versions.
    """

    run_id: str
    at: str
    command: str
    variant: str
    archive: str
    database: Kept | None = None
    media: str | None = None
    exclude: tuple[str, ...] = ()
    created: bool = False
    media_created: bool = False
    unreadable: bool = False
    undone_by: str | None = None
    number: int = 0
    home: str | None = None
    database_name: str | None = None
    database_path: str | None = None
    database_label: str | None = None
    media_root: str | None = None


def places_of(replaced: Replaced) -> list[str]:
    """Where the safety copies of a restore lie, as far as they lie in files."""
    database = replaced.database
    kept = [database.path] if isinstance(database, KeptDump | KeptFile) else []
    return kept + ([] if replaced.media is None else [replaced.media])


def at_places(replaced: Replaced, place: Callable[[str], str]) -> Replaced:
    """The same record with another way to write its paths."""
    database = replaced.database
    if isinstance(database, KeptDump | KeptFile):
        database = msgspec.structs.replace(database, path=place(database.path))
    return msgspec.structs.replace(
        replaced,
        database=database,
        media=None if replaced.media is None else place(replaced.media),
        database_path=None if replaced.database_path is None else place(replaced.database_path),
        media_root=None if replaced.media_root is None else place(replaced.media_root),
    )
