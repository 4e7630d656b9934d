"""What a command found or did, as data; `cli` turns it into text or JSON."""

from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import Finding
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
