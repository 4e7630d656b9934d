"""Gives files back their owner, group, mode and time, as far as the system allows this user to."""

import errno
import os
import stat
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache

from runner.errors import Finding
from runner.messages import msg

if sys.platform != "win32":
    import grp
    import pwd

_UNCHANGED = -1
_REFUSALS = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""EINVAL: the number is unknown in this container."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is known of an entry beside its content. `mode` is the permission bits; None: nothing was recorded."""

    mode: int | None = None
    mtime_ns: int | None = None
    uid: int | None = None
    gid: int | None = None
    owner: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, found: os.stat_result) -> "Attributes":
        """Those of something that is there."""
        numbers = (None, None) if sys.platform == "win32" else (found.st_uid, found.st_gid)
        return cls(stat.S_IMODE(found.st_mode), found.st_mtime_ns, *numbers)


class Owners:
    """Applies `Attributes` and counts what could not be given. `model` is the folder that is being replaced.

    What has no owner gets the model's when we are root, what has no mode gets one like the model's. Any thread may
    give.
    """

    def __init__(self, model: os.stat_result | None) -> None:
        self.refused = 0
        self._counting = threading.Lock()
        self._is_root = sys.platform != "win32" and os.geteuid() == 0
        self._model = model
        self.folder_mode = 0o755 if model is None else stat.S_IMODE(model.st_mode)
        self.file_mode = self.folder_mode & 0o666

    def give(self, place: int | str, known: Attributes, default_mode: int | None) -> None:
        """To an open file or folder; on Windows to a path. `default_mode` None: the mode is left when none is known.

        Raises OSError, and OverflowError for values that no system has.
        """
        if sys.platform != "win32":
            owned = self._own(place, known, os.stat(place), None)  # noqa: PTH116 - may be a descriptor
            mode = default_mode if known.mode is None else known.mode & 0o7777
            if mode is not None:
                if not owned:  # a program must not run as whoever restored it, because its owner is not there
                    mode &= ~(stat.S_ISUID | stat.S_ISGID)
                os.chmod(place, mode)  # noqa: PTH101 - may be a descriptor
        if known.mtime_ns is not None:
            os.utime(place, ns=(known.mtime_ns, known.mtime_ns))

    def give_link(self, name: str, known: Attributes, descriptor: int | None) -> None:
        """To a link itself, where the system can. Raises like `give`."""
        if sys.platform != "win32":
            self._own(name, known, os.stat(name, dir_fd=descriptor, follow_symlinks=False), descriptor)
        if known.mtime_ns is not None and os.utime in os.supports_follow_symlinks:
            times = (known.mtime_ns, known.mtime_ns)
            os.utime(name, ns=times, dir_fd=descriptor, follow_symlinks=False)

    def findings(self, where: str) -> tuple[Finding, ...]:
        """One warning, with a count, when owners were refused."""
        if not self.refused:
            return ()
        return (
            Finding(
                "media.owner",
                msg("{count} files and folders could not get their recorded owner or group", count=self.refused),
                where,
                msg("check that the application may read and write them; restore as root to give owners back"),
            ),
        )

    def _own(self, place: int | str, known: Attributes, found: os.stat_result, descriptor: int | None) -> bool:
        """Whether owner and group are the wanted ones now."""
        if sys.platform == "win32":
            return True
        uid, gid = self._wanted(known)
        uid = _UNCHANGED if uid == found.st_uid else uid
        gid = _UNCHANGED if gid == found.st_gid else gid
        if (uid, gid) == (_UNCHANGED, _UNCHANGED) or self._chown(place, uid, gid, descriptor):
            return True
        with self._counting:
            self.refused += 1
        if uid != _UNCHANGED != gid:
            # The group alone: a user may give a file to any group that the user belongs to.
            self._chown(place, _UNCHANGED, gid, descriptor)
        return False

    def _chown(self, place: int | str, uid: int, gid: int, descriptor: int | None) -> bool:
        """False when this user may not."""
        if sys.platform == "win32":
            return True
        try:
            if isinstance(place, int):
                os.fchown(place, uid, gid)
            else:
                os.chown(place, uid, gid, dir_fd=descriptor, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            return False
        return True

    def _wanted(self, known: Attributes) -> tuple[int, int]:
        """Names win over numbers: the same user may have another number on this machine."""
        model = self._model if self._is_root else None
        uid = _user(known.owner) if known.owner else None
        gid = _group(known.group) if known.group else None
        uid = known.uid if uid is None else uid
        gid = known.gid if gid is None else gid
        if uid is None:
            uid = _UNCHANGED if model is None else model.st_uid
        if gid is None:
            gid = _UNCHANGED if model is None else model.st_gid
        return uid, gid


@lru_cache(maxsize=1024)
def _user(name: str) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _group(name: str) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None
