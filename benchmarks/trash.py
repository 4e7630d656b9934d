"""Takes files away without giving their inodes back before the end.

ext4 does not use an inode again for five minutes after its deletion, and looks at every such one for each new file
(Linux, fs/ext4/ialloc.c, `recently_deleted`): after 20,000 deleted files the next 20,000 took up to 20 s longer to be
made, whichever tool made them. That is the work of this bench, and no tool's.
"""

import os
import shutil
from pathlib import Path


def take_away(path: Path, trash: Path) -> None:
    """Nothing is at `path` afterwards, and its space is free. `trash` is a folder on the same file system."""
    if not os.path.lexists(path):
        return
    trash.mkdir(parents=True, exist_ok=True)
    kept = trash / str(sum(1 for _ in trash.iterdir()))
    path.rename(kept)
    for parent, _, names in os.walk(kept):
        for name in names:
            file = os.path.join(parent, name)  # noqa: PTH118 - once for each file
            if not os.path.islink(file):  # noqa: PTH114
                os.chmod(file, 0o600)  # noqa: PTH101
                os.truncate(file, 0)


def empty(trash: Path) -> None:
    """At the end, when nothing is measured any more."""
    shutil.rmtree(trash, ignore_errors=True)
