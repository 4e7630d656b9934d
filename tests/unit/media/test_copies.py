"""A copied folder is all that its source is, whether it shares its content with it or not."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import StepFailed
from runner.lanes import Stop, Stopped
from runner.media.sharing import Sharing
from runner.media.trees import copy_tree
from tests.requirements import unmet
from tests.unit.media.restoring import fill_old, picture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX systems")

LARGE = os.urandom(3_000_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    root.mkdir()
    fill_old(root)
    (root / "large").write_bytes(LARGE)
    (root / "nothing").touch(0o604)
    return root


@pytest.fixture
def shared_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose files can share what they hold."""
    make = shutil.which("mkfs.btrfs") or shutil.which("mkfs.xfs")
    if sys.platform != "linux" or make is None or os.geteuid() != 0:
        pytest.skip("needs root and `mkfs.btrfs` or `mkfs.xfs`")
    image, folder = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    folder.mkdir()
    subprocess.run([make, str(image)], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=False).returncode:
        unmet("needs a loop mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Refusing(Sharing):
    """A file system that knows no sharing."""

    def share(self, source: int, target: int) -> bool:
        return False


class Copying(Sharing):
    """Does what a file system does that shares: the content is there, and nobody has read it."""

    def share(self, source: int, target: int) -> bool:
        content = os.pread(source, 1 << 30, 0)
        return os.pwrite(target, content, 0) == len(content)


@pytest.mark.parametrize("way", [Sharing, Refusing, Copying])
def test_all_that_a_folder_is(
    tmp_path: Path, source: Path, way: type[Sharing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.media.trees.Sharing", way)
    done: list[int] = []
    copy_tree(source, tmp_path / "copy", done.append)
    assert picture(tmp_path / "copy") == picture(source)
    files = (path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(done) == sum(path.stat().st_size for path in files)


def test_content_is_shared_where_the_file_system_can(source: Path, shared_disk: Path) -> None:
    shutil.copytree(source, shared_disk / "source", symlinks=True)
    sharing = Sharing()
    with (shared_disk / "source" / "large").open("rb") as first, (shared_disk / "large").open("xb") as second:
        assert sharing.share(first.fileno(), second.fileno())
    assert (shared_disk / "large").read_bytes() == LARGE
    copy_tree(shared_disk / "source", shared_disk / "copy", lambda _: None)
    assert picture(shared_disk / "copy") == picture(shared_disk / "source")


def test_a_refusal_is_remembered_and_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("a call of Linux")
    asked: list[int] = []
    code = errno.ENOTSUP

    def refuse(_target: int, _request: int, source: int) -> None:
        asked.append(source)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.ioctl", refuse)
    sharing = Sharing()
    assert (sharing.share(1, 2), sharing.share(1, 2)) == (False, False)
    assert len(asked) == 1
    code = errno.ENOSPC
    with pytest.raises(OSError, match=os.strerror(code)):
        Sharing().share(1, 2)


@pytest.mark.parametrize("way", [Refusing, Copying])
def test_a_change_meanwhile_is_noticed(
    tmp_path: Path, source: Path, way: type[Sharing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.media.trees.Sharing", way)

    def write_again(_amount: int) -> None:
        (source / "receipts" / "one").write_bytes(os.urandom(100))

    with pytest.raises(StepFailed, match="differs"):
        copy_tree(source, tmp_path / "copy", write_again)


def test_it_ends_soon_when_it_is_told_to(tmp_path: Path, source: Path) -> None:
    stop = Stop()
    with pytest.raises(Stopped):
        copy_tree(source, tmp_path / "copy", lambda _: stop.set(), stop)
