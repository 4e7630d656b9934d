"""What is remembered of one profile from one run to the next, each a line or a file of JSON in the state folder."""

import msgspec


class LastBackup(msgspec.Struct, frozen=True):
    """What the last finished backup of a profile held; None: it had no such half, or nobody noted it.

    `dump_bytes` is what the database gave, unpacked; `archive_bytes` the archive's own size. `whole_at` is when the
    last one was made that held everything and went where the profile says: neither a half nor to `--dest`.
    """

    archive_id: str
    archive_name: str
    created_at: str
    variant: str
    tables: int | None
    media_files: int | None
    dump_bytes: int | None = None
    archive_bytes: int | None = None
    whole_at: str | None = None


class Verified(msgspec.Struct, frozen=True):
    """An archive that was re-read at a destination and found whole, or found damaged."""

    archive_id: str
    archive_name: str
    destination: str
    verified_at: str
    intact: bool


class Made(msgspec.Struct, frozen=True):
    """An archive that this machine made: its SQL is as trustworthy as the database that it came from."""

    archive_id: str


class Attempt(msgspec.Struct, frozen=True):
    """A run that a schedule has started. `due_at`: the time that it was due; `exit_code` None: it never ended.

    `tries` counts the runs for that time, this one too. Instants are ISO 8601.
    """

    due_at: str
    started_at: str
    exit_code: int | None = None
    tries: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """How the last backup ended, and whether it was told since that the newest good one is too old."""

    ended_at: str
    exit_code: int | None
    overdue_told: bool = False
