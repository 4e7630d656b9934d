"""The place where a media root is or will be: what is there, and which way it can be swapped."""

import os
import re
import stat
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from runner.errors import Finding
from runner.media.trees import count
from runner.messages import msg, printable
from runner.model.marks import MediaMarks, RunNames

Way = Literal["rename", "entries"]
_MOUNTS = Path("/proc/self/mountinfo")
_ROOM_BYTES = 8 << 20
_BYTES_AN_ENTRY = 4096
_LONGER = len(".YYYYMMDD_HHMMSS-xxxxxxxx.old.carried.making")


@dataclass(frozen=True, slots=True)
class LiveMedia:
    """What a restore would replace. `target`: where a link leads; `newest_change` is aware, None when nobody knows."""

    exists: bool
    files: int = 0
    bytes: int = 0
    newest_change: datetime | None = None
    is_link: bool = False
    target: str | None = None
    is_mount: bool = False


class Site:
    """The root of a profile, and the folder that it really is."""

    def __init__(self, root: Path, names: RunNames) -> None:
        self.given = root
        self.root = Path(os.path.realpath(root))
        self.names = names

    def look(self) -> LiveMedia:
        """Raises OSError when nothing can be known."""
        is_link = self.given.is_symlink()
        target = str(self.root) if is_link else None
        if not self.root.is_dir():
            return LiveMedia(exists=False, is_link=is_link, target=target)
        found = count(self.root)
        return LiveMedia(
            exists=True,
            files=found.files,
            bytes=found.bytes,
            newest_change=found.newest_change,
            is_link=is_link,
            target=target,
            is_mount=self._is_mount(),
        )

    def way(self) -> Way:
        """`entries` where the root cannot be renamed. Raises OSError."""
        if not self.root.is_dir():
            return "rename"
        name_fits = len(os.fsencode(self.root.name)) + _LONGER < 255
        return "rename" if name_fits and not self._is_mount() and self._parent_allows() else "entries"

    def marks(self, way: Way) -> MediaMarks:
        """The marks before anything is made."""
        staged, replaced = self.names.staged(self.root), self.names.replaced(self.root)
        if way == "entries":
            # One folder deeper: beside the content there is room for what tells how far the swap has come.
            staged = self.root / f".runner-{self.names.run_id}.new" / "content"
            replaced = self.root / f".runner-{self.names.run_id}.old" / "content"
        live = self.root.stat() if self.root.is_dir() else None
        inode = None if live is None else (live.st_dev, live.st_ino)
        return MediaMarks(way=way, root=str(self.root), staged=str(staged), replaced=str(replaced), live_inode=inode)

    def probe(self) -> Path:
        """Where names may be tried: beside the root, or in it."""
        above = self.root if self.way() == "entries" else self.nearest()
        return above / f".runner-{self.names.run_id}.probe"

    def nearest(self) -> Path:
        """The folder above the root, or the nearest one that is there."""
        return next(path for path in self.root.parents if path.is_dir())

    def obstacles(self) -> list[Finding]:
        """What keeps this root from being replaced, as far as it can be known without trying."""
        where = printable(str(self.root))
        if os.path.lexists(self.root) and not self.root.is_dir():
            hint = msg("check `media.root` in the profile")
            return [Finding("refused", msg("the media root is not a folder"), where, hint)]
        errors = [
            Finding(
                "refused",
                msg(
                    "`{folder}` below the media root is a mount point, which a restore would cut off", folder=str(path)
                ),
                where,
                msg("unmount it for the restore"),
            )
            for path in sorted(mount_points())
            if path != self.root and path.is_relative_to(self.root)
        ]
        above = self.root if self.way() == "entries" else self.nearest()
        if not os.access(above, os.W_OK | os.X_OK):
            errors.append(
                Finding(
                    "refused",
                    msg("this user may not write to `{folder}`", folder=printable(str(above))),
                    where,
                    msg("run as the user that owns the media folder, or as root"),
                )
            )
        elif above == self.root and (foreign := self._foreign_entries()):
            errors.append(
                Finding(
                    "refused",
                    msg("this user may not move `{names}` in it", names=printable("`, `".join(foreign[:10]))),
                    where,
                    msg("run as the user that owns the media folder, or as root"),
                )
            )
        return errors

    def room(self, size_bytes: int, entries: int) -> list[Finding]:
        """Too little space, or too few files left, for so much more. Raises OSError."""
        above = self.root if self.root.is_dir() else self.nearest()
        needed = size_bytes + entries * _BYTES_AN_ENTRY + _ROOM_BYTES
        hint = msg("free some space, or make the media folder a link to a larger disk")
        free, files_left = _free(above)
        errors = []
        if free < needed:
            text = msg("{needed} bytes are needed there and {free} are free", needed=needed, free=free)
            errors.append(Finding("refused", text, printable(str(above)), hint))
        if files_left is not None and files_left < entries:
            text = msg("{entries} files and folders are needed, {free} can be made", entries=entries, free=files_left)
            errors.append(Finding("refused", text, printable(str(above)), hint))
        return errors

    def _is_mount(self) -> bool:
        return os.path.ismount(self.root) or self.root in mount_points()

    def _parent_allows(self) -> bool:
        """Whether names in the folder above may be changed, the root's own included."""
        above = self.root.parent
        return os.access(above, os.W_OK | os.X_OK) and not _sticks(above, self.root)

    def _foreign_entries(self) -> list[str]:
        return [path.name for path in sorted(self.root.iterdir()) if _sticks(self.root, path) or _is_rigid(path)]


def mount_points() -> frozenset[Path]:
    """Every mount point that Linux knows, bind mounts included; elsewhere `ismount` has to do."""
    if sys.platform != "linux":
        return frozenset()
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return frozenset()
    return frozenset(Path(os.fsdecode(_unescaped(line.split(b" ")[4]))) for line in lines if line.count(b" ") > 4)


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes((int(found[1], 8),)), field)


def _sticks(folder: Path, entry: Path) -> bool:
    """Whether the sticky bit keeps this user from renaming `entry`."""
    if sys.platform == "win32" or os.geteuid() == 0 or not folder.stat().st_mode & stat.S_ISVTX:
        return False
    return os.geteuid() not in (folder.stat().st_uid, entry.lstat().st_uid)


def _is_rigid(entry: Path) -> bool:
    """Whether this user may not move a folder: it is somebody else's, and closed."""
    if sys.platform == "win32" or entry.is_symlink() or not entry.is_dir():
        return False
    return not os.access(entry, os.W_OK) and entry.stat().st_uid != os.geteuid()


def _free(folder: Path) -> tuple[int, int | None]:
    """Bytes, and how many files can still be made (None: as many as one likes)."""
    if sys.platform == "win32":
        import shutil

        return shutil.disk_usage(folder).free, None
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
