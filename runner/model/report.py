"""What a command found or did, as data; `cli` turns it into text or JSON."""

from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import Finding
from runner.messages import Message
from runner.model.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Placed:
    """One archive at one destination. `verified`: re-read there after the flush and found whole."""

    destination: str
    path: Path
    size_bytes: int
    verified: bool


@dataclass(frozen=True, slots=True)
class BackupReport:
    """The result of `apply`: what was made, where it lies, what to worry about."""

    profile: str
    archive_name: str
    manifest: Manifest
    placed: tuple[Placed, ...]
    duration_seconds: float
    warnings: tuple[Finding, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """The result of `restore` and `undo`: what was put back, and where the state that it replaced is kept.

    `no_undo`: why it cannot be taken back; None where it can.
    """

    profile: str
    command: str
    variant: str
    source: str | Message
    run_id: str
    kept_database: str | None
    kept_media: str | None
    duration_seconds: float
    no_undo: Message | None = None
    lost: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """The result of `recover`. `outcome`: `nothing`, `cleaned` (before the swap), `finished`, `taken-back`."""

    profile: str
    outcome: str
    run_id: str | None = None
    source: str | None = None
    warnings: tuple[Finding, ...] = ()
