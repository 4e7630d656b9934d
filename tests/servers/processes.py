"""Killing a process with all its descendants, on every system, with the standard library alone."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GONE_SECONDS = 20


def kill_tree(pid: int) -> None:
    """Kill `pid`, then its descendants; returns when none of them runs any more."""
    if sys.platform == "win32":
        doomed = [pid]
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
    else:
        doomed = [pid, *_descendants(pid)]
        for one in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    _wait_until_gone(doomed)


def is_alive(pid: int) -> bool:
    """False for a zombie: it runs nothing and holds nothing, it only waits to be asked for its exit code."""
    if sys.platform == "win32":
        listed = subprocess.run(["tasklist", "/NH", "/FI", f"PID eq {pid}"], capture_output=True, check=False)
        return str(pid).encode() in listed.stdout
    else:  # noqa: RET505 - mypy calls what follows an `if` on the platform unreachable
        return pid in _parents()


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after they were killed: {pids}")
        time.sleep(0.02)


def _descendants(pid: int) -> list[int]:
    parents = _parents()
    found: list[int] = []
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation}
        found += generation
    return found


def _parents() -> dict[int, int]:
    """Every live process's parent."""
    if Path("/proc/self/stat").exists():
        return dict(filter(None, map(_stat, Path("/proc").glob("[0-9]*/stat"))))
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listed.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        # pid (name) state ppid …, and the name may hold anything, a bracket too
        state, parent = path.read_bytes().rpartition(b")")[2].split()[:2]
    except OSError:  # gone meanwhile
        return None
    return None if state in {b"Z", b"X"} else (int(path.parent.name), int(parent))
