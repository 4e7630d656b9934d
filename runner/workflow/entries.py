"""Joins `media` and `archive`: a node of the walk as an entry of the inventory."""

import stat
import sys
from functools import lru_cache

from runner.archive.inventory import path_fields
from runner.archive.names import path_bytes
from runner.media.walk import Node
from runner.model.manifest import InventoryEntry

if sys.platform != "win32":
    import grp
    import pwd


def entry_of(node: Node) -> InventoryEntry:
    """What is known of a node before its content is read."""
    found = node.status
    path, path_b64 = path_fields(path_bytes(node.path))
    target, target_b64 = (None, None) if node.target is None else path_fields(path_bytes(node.target))
    return InventoryEntry(
        path=path,
        path_b64=path_b64,
        type="directory" if node.is_directory else "link" if node.is_link else "file",
        mtime_ns=found.st_mtime_ns,
        mode=stat.S_IMODE(found.st_mode),
        target=target,
        target_b64=target_b64,
        uid=None if sys.platform == "win32" else found.st_uid,
        gid=None if sys.platform == "win32" else found.st_gid,
        owner=_user_name(found.st_uid),
        group=_group_name(found.st_gid),
    )


@lru_cache(maxsize=1024)
def _user_name(uid: int) -> str | None:
    if sys.platform == "win32":
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


@lru_cache(maxsize=1024)
def _group_name(gid: int) -> str | None:
    if sys.platform == "win32":
        return None
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
