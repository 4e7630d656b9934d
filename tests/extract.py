"""Puts the media of an archive back by its inventory and Python's `zipfile`, and describes a tree for comparison."""

import os
import stat
import zipfile
from pathlib import Path

from runner.archive.inventory import member_name, raw_path, raw_target
from runner.archive.reader import ArchiveReader

Described = dict[bytes, tuple[str, int, int, bytes]]


def extract_media(archive: Path, folder: Path) -> None:
    """Make `folder`, which must not be there, the media root that the archive holds."""
    with ArchiveReader.open(archive) as reader:
        entries = list(reader.entries())
    with zipfile.ZipFile(archive) as zipped:
        for entry in entries:
            path = below(folder, raw_path(entry))
            if entry.type == "directory":
                path.mkdir()
            elif entry.type == "link":
                path.symlink_to(os.fsdecode(raw_target(entry)))
            else:
                with zipped.open(member_name(entry)) as member, path.open("wb") as file:
                    while chunk := member.read(1 << 20):
                        file.write(chunk)
    for entry in reversed(entries):
        path = below(folder, raw_path(entry))
        if entry.type != "link":
            path.chmod(entry.mode)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def described(folder: Path) -> Described:
    """Every path below `folder` as bytes (the root: empty), with its kind, mode, time and content or target."""
    found: Described = {}
    pending = [b""]
    while pending:
        relative = pending.pop()
        path = below(folder, relative)
        status = path.lstat()
        facts = stat.S_IMODE(status.st_mode), status.st_mtime_ns
        if stat.S_ISLNK(status.st_mode):
            found[relative] = ("link", *facts, os.readlink(os.fsencode(path)))  # noqa: PTH115 - as it stands
        elif stat.S_ISDIR(status.st_mode):
            found[relative] = ("directory", *facts, b"")
            pending += [os.fsencode(child.relative_to(folder)) for child in path.iterdir()]
        else:
            found[relative] = ("file", *facts, path.read_bytes())
    return found


def below(folder: Path, raw: bytes) -> Path:
    """The path whose bytes below `folder` are `raw`."""
    return folder / os.fsdecode(raw)
