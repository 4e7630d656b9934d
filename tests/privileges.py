"""Running a program as somebody who may not do everything: tests are often run as root, whom no permission stops."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.requirements import requires_program

NOBODY = 65534
CHECKOUT = Path(__file__).parents[1]


@contextmanager
def unprivileged(folder: Path) -> Iterator[tuple[str, ...]]:
    """What to put before a command. For root it runs as `nobody`, who may look into `folder` meanwhile."""
    if sys.platform == "win32":
        pytest.skip("Windows has no permission bits")
    if os.geteuid() != 0:
        yield ()
        return
    command = (
        str(requires_program("setpriv", only="linux")),
        *(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    )
    opened = [(path, path.stat().st_mode) for path in (folder, *folder.parents) if not path.stat().st_mode & 0o005]
    for path, mode in opened:
        path.chmod(mode | 0o055)
    try:
        works = [*command, sys.executable, "-c", "import runner.cli.main, sqlite3, msgspec"]
        if subprocess.run(works, cwd=CHECKOUT, capture_output=True, check=False).returncode:
            pytest.skip("this Python is out of reach for other users than root")
        yield command
    finally:
        for path, mode in opened:
            path.chmod(mode)


def without_capabilities() -> tuple[str, ...]:
    """What to put before a command: the same user, whom modes stop though it be root."""
    return (str(requires_program("setpriv", only="linux")), "--inh-caps=-all", "--bounding-set=-all")


def give_away(folder: Path) -> None:
    """Make `nobody` the owner of `folder` and all below it, where we are root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
