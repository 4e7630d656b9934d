"""The only user of `subprocess`: argument lists, secrets by environment, errors that repeat no secret.

Every child gets its own process group, so that Ctrl-C reaches runner alone and runner ends its children in order.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runner.errors import ToolFailed, ToolMissing
from runner.language import environment_found
from runner.messages import msg
from runner.model.secret import Secret

_ERROR_LINES = 20
_GRACE_SECONDS = 5.0
_CHUNK_BYTES = 1 << 20
_SLICE_SECONDS = 0.5
_GRACE_SLICE_SECONDS = 0.02
_TAIL_BYTES = 1 << 18

Environment = Mapping[str, "str | Secret"]

Ending = Callable[[Callable[[], object]], AbstractContextManager[None]]
"""Told how a program can be ended from another thread, as long as its block lasts (`runner.lanes.Stop.ending`)."""


def _never(_end: Callable[[], object]) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def run(
    arguments: Sequence[str],
    environment: Environment | None = None,
    *,
    told: Callable[[str], object] | None = None,
    ending: Ending = _never,
) -> bytes:
    """Run a program to its end and return its stdout. Raises ToolMissing or ToolFailed.

    `told` gets what a program that ended well said on stderr, if it said anything: most often a warning.
    """
    with running(arguments, environment) as child, ending(child.terminate):
        output = child.stdout.read()
        child.wait()
        words = child.last_words()
        if told is not None and words:
            told(words)
        return output


def stream(
    arguments: Sequence[str], environment: Environment | None = None, *, ending: Ending = _never
) -> Iterator[bytes]:
    """Run a program and yield its stdout in chunks; raises ToolFailed at the end when it ended badly."""
    with running(arguments, environment) as child, ending(child.terminate):
        while chunk := child.stdout.read(_CHUNK_BYTES):
            yield chunk
        child.wait()


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` as the system tells it, None when the time was up; `output`: stdout and stderr, the last 256 KiB."""

    code: int | None
    output: str


def run_attended(
    arguments: Sequence[str], environment: Mapping[str, str], *, folder: Path, timeout_seconds: float
) -> Ended:
    """Run a program in `folder` to its end, or until its time is up; whatever it does is told, not raised.

    When its time is up, or an exception passes through here (an interruption), it is ended with all that it started,
    save what made itself a session of its own. A program that ended by itself may leave others running: to start a
    server is what some are for. Raises ToolMissing when it cannot be started.
    """
    program = arguments[0]
    if not Path(program).is_absolute() and Path(program).name != program:
        program = str(folder / program)  # on Windows it would be looked for in our own folder
    with tempfile.TemporaryFile() as output:  # a pipe would stay open as long as a server that was started
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list, never a shell string
                [program, *arguments[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**environment_found(), **environment},
                start_new_session=os.name != "nt",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ToolMissing(
                msg("`{program}` cannot be started: {reason}", program=arguments[0], reason=reason)
            ) from None
        try:
            code = _wait(process, timeout_seconds)
        finally:
            if process.poll() is None:
                _end_group(process)
        return Ended(code, _tail(output))


def _wait(process: "subprocess.Popen[bytes]", timeout_seconds: float) -> int | None:
    """The exit code, None when the time is up. In slices: Windows hears no Ctrl-C during a wait."""
    deadline = time.monotonic() + timeout_seconds
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(min(left, _SLICE_SECONDS))
    return process.poll()


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a running program and its descendants: politely where the system has a way, then surely."""
    if sys.platform == "win32":
        taskkill = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
        command = [str(taskkill), "/T", "/F", "/PID", str(process.pid)]
        with contextlib.suppress(OSError):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - as above
        process.kill()
    else:
        deadline = time.monotonic() + _GRACE_SECONDS
        # The first of them may be gone long before those that it started. EPERM: only dead ones are left (macOS).
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                time.sleep(_GRACE_SLICE_SECONDS)
                process.poll()
                os.killpg(process.pid, 0)
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that became another user's cannot be ended by us
        process.wait(_GRACE_SECONDS)


def _tail(file: IO[bytes]) -> str:
    """The end of what was written, from the beginning of a line on."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    content = file.read()
    if size > _TAIL_BYTES:
        content = content.partition(b"\n")[2] or content
    return content.decode("utf-8", "replace").strip()


class Child:
    """A running program, its stdout, and a file that collects its stderr (a pipe could fill up and block it)."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], secrets: Sequence[Secret]) -> None:
        assert process.stdout is not None  # noqa: S101 - always a pipe, see `running`
        self.stdout = process.stdout
        self._process = process
        self._errors = errors
        self._secrets = secrets

    def has_ended(self, within_seconds: float) -> bool:
        """Wait for its end, for so long at most."""
        try:
            self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait(self) -> None:
        """Raises ToolFailed, with the last lines of stderr, unless the program ended well."""
        code = self._process.wait()
        if code:
            raise ToolFailed(
                msg(
                    "`{program}` ended with {code}: {stderr}",
                    program=Path(str(self._process.args[0])).name,  # type: ignore[index]  # always a list, see `running`
                    code=msg("signal {number}", number=-code) if code < 0 else msg("exit code {number}", number=code),
                    stderr=self.last_words() or msg("it said nothing"),
                )
            )

    def terminate(self) -> None:
        """Ask the program to end, from any thread."""
        with contextlib.suppress(OSError):
            self._process.terminate()

    def stop(self) -> None:
        """End the program if it still runs: politely, then surely."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.stdout.close()

    def last_words(self) -> str:
        """The last lines of stderr, without any secret."""
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").strip()
        for secret in self._secrets:
            if value := secret.reveal():
                text = text.replace(value, "****")
        return "\n".join(text.splitlines()[-_ERROR_LINES:])


def command_line(arguments: Sequence[str]) -> str:
    """Arguments as one text that a Windows program reads as the same arguments, for what takes nothing else."""
    return subprocess.list2cmdline(arguments)


@contextmanager
def running(
    arguments: Sequence[str], environment: Environment | None = None, *, inherits: bool = True
) -> Iterator[Child]:
    """Run a program beside the caller; at the end of the block it is ended, if it still runs. Raises ToolMissing.

    `inherits`: our own environment is its, too; otherwise it has `environment` alone.
    """
    environment = environment or {}
    secrets = [value for value in environment.values() if isinstance(value, Secret)]
    revealed = {name: value.reveal() if isinstance(value, Secret) else value for name, value in environment.items()}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list, never a shell string
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**(environment_found() if inherits else {}), "LC_MESSAGES": "C", **revealed},
                start_new_session=os.name != "nt",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise ToolMissing(
                msg("`{program}` cannot be started: {reason}", program=arguments[0], reason=error.strerror)
            ) from None
        child = Child(process, errors, secrets)
        try:
            yield child
        finally:
            child.stop()
