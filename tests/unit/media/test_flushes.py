"""What is given to either kind of flush is on the disk afterwards, or an error is raised."""

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.media import flushes
from runner.media.flushes import EachFlush, Flushes, WholeFlush, flushes_below, flushes_whole
from tests.requirements import requires_program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="descriptors of POSIX systems")


@pytest.fixture(params=["each", "whole"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flushes]:
    if request.param == "whole" and sys.platform != "linux":
        pytest.skip("only Linux has syncfs")
    with EachFlush() if request.param == "each" else WholeFlush(tmp_path) as made:
        yield made


def test_files_and_folders_are_taken_and_closed(tmp_path: Path, kind: Flushes) -> None:
    taken = [os.open(tmp_path, os.O_RDONLY)]
    for number in range(300):
        taken.append(os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT))
        os.write(taken[-1], b"content")
        kind.add(taken[-1], 7 if number % 2 else 1 << 20)
    kind.add(taken[0])
    kind.finish()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(taken[0])
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"content"}


def test_a_failed_flush_is_told(tmp_path: Path, kind: Flushes, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    kind.add(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT))
    with pytest.raises(OSError, match="broken"):
        kind.finish()


def test_what_syncfs_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux has syncfs")

    class Library:
        def syncfs(self, _descriptor: int) -> int:
            ctypes.set_errno(errno.ENOSPC)
            return -1

    with WholeFlush(tmp_path) as made:
        monkeypatch.setattr(flushes, "_libc", Library)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            made.finish()


@pytest.mark.parametrize(
    ("release", "honest"),
    [("5.7.19", False), ("5.8.0-63-generic", True), ("6.1", True), ("4.19.0", False), ("x", False)],
)
def test_old_kernels_do_not_tell_of_failed_writes(release: str, *, honest: bool) -> None:
    assert flushes._is_honest(release) is honest


@pytest.mark.parametrize("path", ["/proc", "/dev/shm", "/sys", "/nowhere"])
def test_other_file_systems_are_flushed_file_by_file(path: str) -> None:
    assert not flushes_whole(Path(path))
    if Path(path).is_dir():
        with flushes_below(Path(path)) as made:
            assert isinstance(made, EachFlush)


def test_this_very_file_system_is_chosen_by_what_it_is(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux has syncfs")
    stat = requires_program("stat")
    name = subprocess.run([str(stat), "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=True)
    assert flushes_whole(tmp_path) is (name.stdout.strip() in {"ext2/ext3", "xfs", "btrfs", "f2fs"})
