"""Files that survive a crash: flushes, atomic replacement, and a rename that never replaces.

The only place that knows how each system makes a file and its name durable. It must not know what the files hold.
"""

import errno
import os
import shutil
import threading
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def create_private(path: Path) -> BinaryIO:
    """Create `path` for reading and writing, mode 0600. Raises FileExistsError when the name is taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE_FILE)
    return os.fdopen(descriptor, "w+b", buffering=1 << 20)


def open_private(path: Path) -> FileIO:
    """Open for appending; a file that is not there is made with mode 0600.

    Without a buffer: whoever handles a signal may write to it in the middle of a write.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, PRIVATE_FILE), "ab", buffering=0)


def flush_file(file: BinaryIO) -> None:
    """Everything written to `file` is on the disk when this returns."""
    file.flush()
    os.fsync(file.fileno())


class FlushBehind:
    """Flushes a growing file while it is written, so that little is left to be flushed at its end.

    Use as a context manager: no flush runs afterwards. The system tells a failure of the disk once, and perhaps to
    us, so `finish` raises what an early flush was told.
    """

    _STEP = 64 << 20

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._asked = threading.Semaphore(0)
        self._ended = False
        self._error: OSError | None = None
        self._flushed = 0
        self._thread = threading.Thread(target=self._run, name="flush-behind", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def written(self, position: int) -> None:
        """So much of the file is written now."""
        if position - self._flushed >= self._STEP:
            self._flushed = position
            self._asked.release()

    def finish(self) -> None:
        """Everything written to the file is on the disk when this returns. Raises OSError."""
        self._end()
        if self._error is not None:
            raise self._error
        flush_file(self._file)

    def _end(self) -> None:
        self._ended = True
        self._asked.release()
        self._thread.join()

    def _run(self) -> None:
        while self._asked.acquire() and not self._ended:
            while self._asked.acquire(blocking=False):
                pass  # what was asked meanwhile is in this flush
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                self._error = error
                return


def flush_folder(folder: Path) -> None:
    """The names in `folder` are on the disk when this returns. Windows has no such call, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems have no flush for folders; the file's own flush has gone through.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def replace_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, mode 0600: after a crash it holds the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with create_private(temporary) as file:
        file.write(content)
        flush_file(file)
    temporary.replace(path)
    flush_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append one line to a private file and flush it. A last line that a crash cut short is ended first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), PRIVATE_FILE)
    with os.fdopen(descriptor, "a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write((b"\n" if torn else b"") + line + b"\n")
        flush_file(file)


def remove_file(path: Path) -> None:
    """Remove a file that may be there. Where it is not, its disk is asked nothing: it may be read-only, or gone."""
    if os.path.lexists(path):
        path.unlink(missing_ok=True)


def move_into_place(source: Path, target: Path) -> None:
    """Give a complete, flushed file its final name in one step, on one file system.

    Raises FileExistsError when the name is taken; then `source` is still there and `target` is untouched. Raises
    another OSError when the name could not be made durable; then it is not there.
    """
    if os.name == "nt":
        source.rename(target)  # refuses to replace, there
    else:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            # No hard links here (FAT, some network shares): look first. The profile's lock keeps other runs away.
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
            source.rename(target)
    try:
        flush_folder(target.parent)
    except OSError:
        # The name could be gone after a crash; better no name than one that may vanish.
        target.unlink()
        raise
    source.unlink(missing_ok=True)


def same_file_system(first: Path, second: Path) -> bool:
    """Whether a file can be renamed from one existing folder to the other."""
    return first.stat().st_dev == second.stat().st_dev


def make_private_folder(folder: Path) -> None:
    """Create `folder` and what is missing above it, mode 0700; an existing one is left as it is. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def remove_tree(folder: Path) -> None:
    """Remove `folder` and all below it, even while another process adds to it (a dying pg_dump does).

    What cannot be there (something above it is a file, or its disk is not connected) needs no removal.
    """
    if not os.path.lexists(folder):
        return
    doomed = folder.with_name(f"{folder.name}.removed")
    try:
        folder.rename(doomed)  # what is still being added is looked for under the old name, and is not made
    except FileNotFoundError:
        return
    except OSError:
        doomed = folder  # Windows renames no folder with an open file in it; the name may be taken, too
    shutil.rmtree(doomed)
