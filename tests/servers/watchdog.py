"""Ends a server when the process that started it is killed and can no longer do it itself.

`python -m tests.servers.watchdog BASE DATA` waits for its standard input to end. A line `dismissed` sends it home;
anything else means that the other end died, and it kills the server whose data are in DATA, and deletes BASE.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers import processes

CHECKOUT = Path(__file__).resolve().parents[2]
DISMISSED = b"dismissed\n"


class Watchdog:
    """The watching child process; `dismiss` when the server was ended properly."""

    def __init__(self, base: Path, data: Path) -> None:
        # A session of its own: a Ctrl-C at the terminal must not reach it before the server is gone.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.watchdog", str(base), str(data)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def dismiss(self) -> None:
        self._child.communicate(DISMISSED)


def _watch(base: Path, data: Path) -> None:
    if sys.stdin.buffer.read() == DISMISSED:
        return
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        pass
    else:
        processes.kill_tree(pid)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), Path(sys.argv[2]))
