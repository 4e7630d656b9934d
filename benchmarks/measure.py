"""Runs a command as a user would at a terminal, and says what it cost.

What is measured, and how:

- wall: from the start of the command to the end of a `sync` of its file system, which belongs to every command here,
  whether it flushes its own files or not;
- CPU: user and system time of the command and of all that it started and waited for, by GNU time;
- the server's CPU: what the processes of PostgreSQL used meanwhile, from `/proc`;
- memory: the largest resident size that any single process of the command reached, by GNU time;
- bytes: what the command's own folder holds more after it than before;
- temporary disk: the most that this folder held while the command ran, less the larger of before and after. Files that
  were deleted and are still open count too. It is sampled, so a short peak may be missed.

Linux only.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

GNU_TIME = "/usr/bin/time"
SHELL = ("bash", "-o", "pipefail", "-ec")
SAMPLE_SECONDS = 0.1
SAID_CHARACTERS = 2000
BLOCK_BYTES = 512
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class CommandFailed(Exception):
    """A measured command ended with another code than 0. `said` is the end of what it said, paths and all."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"exit code {code}: {said}")
        self.code = code
        self.said = said


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of one command took."""

    wall_seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    memory_bytes: int
    added_bytes: int
    temporary_bytes: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Where commands run: `folder` is their working directory, and the one that is watched."""

    folder: Path
    environment: Mapping[str, str]
    server_pid: int

    def measure(self, script: str, *, watched: bool = True) -> Cost:
        """Run `script` by bash, stopping at its first error, and flush. Raises `CommandFailed`.

        Not `watched`: its temporary disk is not asked for, which would cost whatever makes many files there.
        """
        flush_all()
        before = _bytes_below(self.folder)
        server_before = cpu_of_tree(self.server_pid)
        with (
            tempfile.TemporaryDirectory(prefix="runner-bench-") as name,
            _watching(self.folder if watched else None) as seen,
        ):
            times, said = Path(name, "times"), Path(name, "said")
            command = [GNU_TIME, "-q", "-f", "%U %S %M", "-o", str(times), *SHELL, f"{script}\nsync -f ."]
            started = time.perf_counter()
            with said.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                seen.session = process.pid
                try:
                    code = process.wait()
                except BaseException:
                    _kill_session(process.pid)
                    process.wait()
                    raise
            wall = time.perf_counter() - started
            if code != 0:
                raise CommandFailed(code, said.read_text("utf-8", "replace")[-SAID_CHARACTERS:].strip())
            user, system, kilobytes = times.read_text().split()
        after = _bytes_below(self.folder)
        return Cost(
            wall_seconds=wall,
            cpu_seconds=float(user) + float(system),
            server_cpu_seconds=cpu_of_tree(self.server_pid) - server_before,
            memory_bytes=int(kilobytes) * 1024,
            added_bytes=after - before,
            temporary_bytes=max(0, seen.peak_bytes - max(before, after)),
        )


def flush_all() -> None:
    """So that no command pays for what was written before it."""
    os.sync()


def cpu_of_tree(pid: int) -> float:
    """Seconds that a process, its living children and those that it has waited for used: a PostgreSQL server's."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(path)
        if fields is None:
            continue
        if path.parent.name == str(pid):
            ticks += sum(map(int, fields[11:15]))
        elif fields[1] == str(pid):
            ticks += sum(map(int, fields[11:13]))
    return ticks / TICKS


@dataclass(slots=True)
class _Watched:
    """What the watching thread has seen; `session` is known once the command runs."""

    peak_bytes: int = 0
    session: int | None = None


@contextlib.contextmanager
def _watching(folder: Path | None) -> Iterator[_Watched]:
    watched, done = _Watched(), threading.Event()
    if folder is None:
        yield watched
        return

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            watched.peak_bytes = max(watched.peak_bytes, _bytes_below(folder, watched.session))

    thread = threading.Thread(target=watch, name="disk")
    thread.start()
    try:
        yield watched
    finally:
        done.set()
        thread.join()


def _bytes_below(folder: Path, session: int | None = None) -> int:
    """What the files take on the disk, with those without a name that a session's processes still hold open.

    Each file counts once, though it may be renamed from one folder to another meanwhile; one that vanishes does not.
    """
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - once for each file
                sizes[found.st_dev, found.st_ino] = found.st_blocks * BLOCK_BYTES
    for pid in _session_members(session) if session else ():
        with contextlib.suppress(OSError):  # the process ended meanwhile
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                found = descriptor.stat()
                if found.st_nlink == 0:
                    sizes[found.st_dev, found.st_ino] = found.st_blocks * BLOCK_BYTES
    return sum(sizes.values())


def _session_members(session: int) -> list[int]:
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(path)
        if fields is not None and fields[3] == str(session):
            members.append(int(path.parent.name))
    return members


def _kill_session(session: int) -> None:
    for pid in _session_members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def _stat(path: Path) -> list[str] | None:
    """The fields after the name, as proc(5) numbers them from 3 on: state, ppid, pgrp, session, …"""
    try:
        return path.read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:  # gone meanwhile
        return None
