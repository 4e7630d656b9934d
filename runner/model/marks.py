"""What a restore writes down before it acts, so that another process can finish it or take it back.

Marks hold identities (object ids, inodes, a transaction's number), never judgements: recovery looks at what is really
there and decides from those. They are journalled as JSON; a field that is not known yet is None.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

Inode = tuple[int, int]
"""Device and number: what a folder is, whatever it is called."""


class Side(StrEnum):
    """Which state is live. PARTLY: a swap of media stopped between its steps. UNCLEAR: nobody can tell any more."""

    OLD = "old"
    NEW = "new"
    PARTLY = "partly"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class RunNames:
    """The names of everything that one restore makes: each carries the run's id, so that nothing is anonymous.

    `run_id` is `YYYYMMDD_HHMMSS-xxxxxxxx`.
    """

    run_id: str

    @property
    def timestamp(self) -> str:
        """YYYYMMDD_HHMMSS, local time."""
        return self.run_id.partition("-")[0]

    @property
    def staged_database(self) -> str:
        """The new database before it is swapped in."""
        return f"runner_new_{self.run_id.replace('-', '_')}"

    @property
    def replaced_database(self) -> str:
        """The old database once it is swapped out."""
        return f"runner_old_{self.run_id.replace('-', '_')}"

    def staged(self, path: Path) -> Path:
        """The sibling of `path` in which its successor is made."""
        return path.with_name(f".{path.name}.{self.run_id}.new")

    def replaced(self, path: Path) -> Path:
        """The sibling of `path` that keeps what was there."""
        return path.with_name(f".{path.name}.{self.run_id}.old")


class _Marks(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable and strict, like every record."""


class PostgresqlMarks(_Marks, frozen=True, kw_only=True, tag_field="engine", tag="postgresql"):
    """A PostgreSQL database that is being replaced.

    `way`: `swap` renames a staged database into place; `in-place` replaces the content in one transaction, whose number
    is `xid`. `live_oid` None: there was no such database. `adopted`: the staged database was not made by this run (undo
    takes the kept one), so it is never dropped. `server`: the cluster's own number, None where it may not be asked.
    """

    way: Literal["swap", "in-place"]
    name: str
    staged_name: str
    replaced_name: str
    live_oid: int | None = None
    staged_oid: int | None = None
    adopted: bool = False
    server: str | None = None
    xid: str | None = None


class SqliteMarks(_Marks, frozen=True, kw_only=True, tag_field="engine", tag="sqlite"):
    """A SQLite file that is being replaced. Paths are absolute.

    `existed` False: there was no file. `readable` False: it could not be read as a database, so it is replaced by a
    rename. `kept` is where its safety copy goes (None: none is made). `schema_version` is SQLite's own counter in the
    live file, read under the lock of the swap, whose transaction makes it one higher. None: no page has been written.
    """

    path: str
    staged: str
    kept: str | None = None
    existed: bool = True
    readable: bool = True
    schema_version: int | None = None


DatabaseMarks = PostgresqlMarks | SqliteMarks


class MediaMarks(_Marks, frozen=True, kw_only=True):
    """A media root that is being replaced. Paths are absolute and real (no link in them).

    `way`: `rename` swaps whole folders (by one exchange where the system has it, otherwise by two renames); `entries`
    swaps what lies in a root that cannot be renamed (a mount point, a parent that may not be written to).
    `live_inode` None: there was no root. `origin`: where the staged folder came from, when it was moved there and not
    made (undo), so that it can go back. `settled`, for `entries` alone: the swap is complete and what tells so in the
    root may be taken away (the root's own inode says nothing, it stays); as long as it is there, it decides.
    """

    way: Literal["rename", "entries"]
    root: str
    staged: str
    replaced: str
    live_inode: Inode | None = None
    staged_inode: Inode | None = None
    origin: str | None = None
    settled: bool = False
