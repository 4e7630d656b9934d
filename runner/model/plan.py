"""A plan: the ordered steps a command will take, as data that can be printed before anything is done."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from runner.messages import Message
from runner.model.marks import RunNames
from runner.model.profile import Profile, Variant


class Action(StrEnum):
    """What a step does; the same words stand in progress events and in `--format json`."""

    LOCK = "lock"
    HOOK = "hook"
    CHECK = "check"
    SNAPSHOT = "snapshot"
    REFERENCES = "references"
    DUMP = "dump"
    MEDIA = "media"
    SEAL = "seal"
    VERIFY = "verify"
    PUT = "put"
    PREFLIGHT = "preflight"
    CONFIRM = "confirm"
    STAGE_DATABASE = "stage-database"
    STAGE_MEDIA = "stage-media"
    COMPARE = "compare"
    BEFORE_RESTORE = "before-restore"
    SWAP = "swap"
    AFTER_RESTORE = "after-restore"
    KEEP = "keep"
    REFERENCES_AFTER = "references-after"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its title for people, what it reads and what it writes (places, never secrets)."""

    action: Action
    title: Message
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What `runner apply` will do. `created_at` is aware, local time: the clock was read once."""

    profile: Profile
    variant: Variant
    created_at: datetime
    archive_name: str
    steps: tuple[Step, ...]

    @property
    def timestamp(self) -> str:
        """YYYYMMDD_HHMMSS, local time; the part of every name that this run makes."""
        return self.created_at.strftime("%Y%m%d_%H%M%S")


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What `runner restore` or `runner undo` will do. `source` names the archive or the safety copy for people.

    `kept_database` and `kept_media` are where the safety copies go; None where none is made.
    """

    profile: Profile
    command: str
    variant: Variant
    names: RunNames
    source: str | Message
    steps: tuple[Step, ...]
    safety_copy: bool = True
    kept_database: Path | None = None
    kept_media: Path | None = None
