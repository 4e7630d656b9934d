"""Renames that never replace, and the exchange of two folders in one step where the system has it."""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.durable import flush_folder, same_file_system

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
_NOT_THERE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
Exchange = Callable[[Path, Path], bool]


def exchange_folders(first: Path, second: Path) -> bool:
    """Let the two change names in one step. False, with nothing done, where that cannot be. Raises OSError.

    renameat2(2), RENAME_EXCHANGE: since Linux 3.15, on most of its file systems.
    """
    return _renameat2(first, second, _EXCHANGE)


def rename_alone(source: Path, target: Path) -> None:
    """Rename on one file system. Raises FileExistsError when the name is taken, even by an empty folder; OSError."""
    if _renameat2(source, target, _NOREPLACE):
        return
    if os.path.lexists(target):  # Windows refuses by itself; elsewhere an empty folder would be replaced
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def move_alone(source: Path, target: Path) -> None:
    """`rename_alone` into another folder. Moving a folder changes its `..`, so its owner must be let into it."""
    try:
        rename_alone(source, target)
    except PermissionError:
        mode = source.lstat().st_mode
        if not stat.S_ISDIR(mode) or mode & stat.S_IWUSR:
            raise
        source.chmod(stat.S_IMODE(mode) | stat.S_IWUSR)
        try:
            rename_alone(source, target)
        finally:
            (source if os.path.lexists(source) else target).chmod(stat.S_IMODE(mode))


def moved(folder: Path, target: Path) -> bool:
    """Move a whole tree; False where that takes a copy. Two mounts of one file system look the same, and are not."""
    if not same_file_system(folder, target.parent):
        return False
    try:
        move_alone(folder, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    flush_folder(target.parent)
    flush_folder(folder.parent)
    return True


def _renameat2(first: Path, second: Path, flags: int) -> bool:
    call = _call()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_THERE:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


def _call() -> Any:
    """The C library's function; None where there is none."""
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        call.restype = ctypes.c_int
    return call
