"""A crontab for tests, real and out of the way: nothing that a test does may reach the one of whoever runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import requires_program

_PLACE = "/var/spool/cron/crontabs"
_NOT_HIDDEN = 99


def in_own_crontab(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell's script in `folder`, where the crontabs of this machine are not seen; its last command's code."""
    requires_program("crontab", only="linux")
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root may have a crontab of its own for a test")
    hide = f'mount -t tmpfs none {_PLACE} && [ "$(stat -f -c %T {_PLACE})" = tmpfs ] || exit {_NOT_HIDDEN}'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"{hide}\n{script}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != _NOT_HIDDEN, "the crontabs of this machine cannot be hidden"
    return done
