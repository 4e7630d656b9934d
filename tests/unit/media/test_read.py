"""One attempt to read a file: what may be opened, and how a change is noticed."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.media.read import CHUNK_BYTES, FileReading, ReadFailed

posix_only = pytest.mark.skipif(os.name == "nt", reason="special files of POSIX systems")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(2 * CHUNK_BYTES + 5))
    return path


def test_a_quiet_file_comes_whole_and_unchanged(file: Path) -> None:
    with FileReading(file) as reading:
        chunks = list(reading.chunks())
    assert b"".join(chunks) == file.read_bytes()
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES, CHUNK_BYTES, 5]
    assert reading.changed is False
    assert reading.status.st_size == file.stat().st_size


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with FileReading(tmp_path / "empty") as reading:
        assert list(reading.chunks()) == []
    assert reading.changed is False


def grow(path: Path) -> None:
    with path.open("ab") as writing:
        writing.write(b"more" * CHUNK_BYTES)


def shrink(path: Path) -> None:
    os.truncate(path, CHUNK_BYTES)


def overwrite(path: Path) -> None:
    with path.open("r+b") as writing:
        writing.write(b"other")


def overwrite_and_hide_it(path: Path) -> None:
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    (path.parent / "new").write_bytes(b"new")
    (path.parent / "new").replace(path)


def remove(path: Path) -> None:
    path.unlink()


@posix_only
@pytest.mark.parametrize("change", [grow, shrink, overwrite, overwrite_and_hide_it, replace, remove])
def test_a_change_in_the_middle_is_noticed(file: Path, change: Callable[[Path], None]) -> None:
    size = file.stat().st_size
    with FileReading(file) as reading:
        chunks = reading.chunks()
        taken = len(next(chunks))
        change(file)
        taken += sum(map(len, chunks))
    assert reading.changed is True
    assert taken <= size


def test_a_growing_file_has_an_end(file: Path) -> None:
    """It is read up to the size that it had, or a log would be read for ever."""
    with FileReading(file) as reading:
        for taken, _ in enumerate(reading.chunks(), 1):
            grow(file)
            assert taken <= 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileReading(tmp_path / "none")


@posix_only
@pytest.mark.parametrize("kind", ["fifo", "socket", "directory", "link", "dangling link", "device"])
def test_what_became_something_else_is_not_read_and_hangs_nobody(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target").write_bytes(b"never read")
    path = Path("x")
    with socket.socket(socket.AF_UNIX) as listening:
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "socket":
                listening.bind("x")
            case "directory":
                path.mkdir()
            case "link":
                path.symlink_to("target")
            case "dangling link":
                path.symlink_to("none")
            case _:
                path = Path("/dev/null")
        caught: list[BaseException] = []

        def read() -> None:
            try:
                FileReading(path)
            except ReadFailed as error:
                caught.append(error)

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        reading.join(20)
    assert [str(error) for error in caught] == ["it became something else than a plain file"]


@posix_only
def test_no_descriptor_is_left_open(tmp_path: Path, file: Path) -> None:
    here = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    before = len(list(here.iterdir()))
    for _ in range(5):
        with pytest.raises(ReadFailed):
            FileReading(tmp_path)
        with FileReading(file) as reading:
            next(reading.chunks())
    assert len(list(here.iterdir())) == before
