"""Archives of a manifest and nothing else, that claim what a test wants them to claim; and a profile to find them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from runner import config
from runner.archive.writer import ArchiveWriter
from runner.lanes import Lanes
from runner.model.manifest import FORMAT_VERSION, Manifest
from runner.model.profile import Compression, Profile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

_PLAIN = Manifest(
    format_version=FORMAT_VERSION,
    archive_id="",
    profile="app",
    instance="app",
    host="here",
    variant="full",
    created_at="2026-01-08T10:03:53+00:00",
    created_at_local="2026-01-08T11:03:53+01:00",
    runner_version="0.1.0",
    members=(),
)


def write_archive(path: Path, **claims: object) -> Path:
    """A sealed archive whose manifest says `claims`; its id is its name unless they say otherwise."""
    draft = msgspec.structs.replace(_PLAIN, **{"archive_id": path.stem, **claims})
    made = datetime.fromisoformat(draft.created_at_local)
    with path.open("w+b") as file, ArchiveWriter(file, path.parent, made, Compression.STORE, Lanes(1)) as writer:
        writer.seal(draft)
    return path


def days_ago(days: int) -> dict[str, str]:
    """The claims of an archive made that many days before `NOW`."""
    made = NOW - timedelta(days=days)
    return {"created_at": made.isoformat(), "created_at_local": made.astimezone().isoformat()}


def profile_over(folder: Path, *places: Path) -> Profile:
    """The profile `app`, with destinations at `places`; those that are there are made."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "media").mkdir()
    (folder / "backup.yml").write_text("version: 1\n", "utf-8")
    destinations = ", ".join(f"{{type: local, path: '{place.as_posix()}'}}" for place in places)
    (folder / "profiles" / "app.yml").write_text(
        f"version: 1\nmedia: {{root: media}}\ndestinations: [{destinations}]\n", "utf-8"
    )
    return config.load(config.find_root(None, folder), "app", environ={}, need_variables=True)
