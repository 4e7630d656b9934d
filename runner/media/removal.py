"""Removes whole trees in such a way that a half-removed one is never taken for a whole one."""

from pathlib import Path

from runner.durable import flush_folder
from runner.media.exchange import rename_alone
from runner.media.trees import remove_tree


def doomed(folder: Path) -> Path:
    """The name that `folder` has while it is removed."""
    return folder.with_name(f"{folder.name}.gone")


def doom(folder: Path) -> None:
    """Remove `folder`, after it was renamed. May be called again after a crash in its middle. Raises OSError."""
    target = doomed(folder)
    remove_tree(target)
    rename_alone(folder, target)
    flush_folder(folder.parent)
    remove_tree(target)
