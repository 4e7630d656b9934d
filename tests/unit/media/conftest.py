"""Media roots: one for each way of swapping, an old one, a folder on another disk."""

import os
import shutil
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


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = memory / f"runner-media-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)
