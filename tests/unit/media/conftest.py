"""Media roots: one for each way of swapping, an old one, a folder on another disk."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.media.places import Place, mounted
from tests.unit.media.restoring import fill_old


@pytest.fixture(params=["exchange", "renames", "entries"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "site"
    folder.mkdir()
    root = folder / "media"
    root.mkdir()
    made = Place(folder, root, folder / "backups_local" / "kept", request.param != "renames")
    if request.param != "entries":
        made.fresh()
        yield made
        return
    mounted(root)
    try:
        made.fresh()
        yield made
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """An old root."""
    root = tmp_path / "site" / "media"
    root.mkdir(parents=True)
    fill_old(root)
    return root
