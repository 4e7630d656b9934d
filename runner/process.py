"""The only user of `subprocess`: argument lists, secrets by environment, errors that repeat no secret.

Every child gets its own process group, so that Ctrl-C reaches runner alone and runner ends its children in order.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from runner.errors import ToolFailed, ToolMissing
from runner.messages import msg
from runner.model.secret import Secret

_ERROR_LINES = 20
_GRACE_SECONDS = 5.0
_CHUNK_BYTES = 1 << 20

Environment = Mapping[str, "str | Secret"]


def run(
    arguments: Sequence[str],
    environment: Environment | None = None,
    *,
    told: Callable[[str], object] | None = None,
) -> bytes:
    """Run a program to its end and return its stdout. Raises ToolMissing or ToolFailed.

    `told` gets what a program that ended well said on stderr, if it said anything: most often a warning.
    """
    with _started(arguments, environment or {}) as child:
        output = child.stdout.read()
        child.wait()
        words = child.last_words()
        if told is not None and words:
            told(words)
        return output


def stream(arguments: Sequence[str], environment: Environment | None = None) -> Iterator[bytes]:
    """Run a program and yield its stdout in chunks; raises ToolFailed at the end when it ended badly."""
    with _started(arguments, environment or {}) as child:
        while chunk := child.stdout.read(_CHUNK_BYTES):
            yield chunk
        child.wait()


class _Child:
    """A running program, its stdout, and a file that collects its stderr (a pipe could fill up and block it)."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], secrets: Sequence[Secret]) -> None:
        assert process.stdout is not None  # noqa: S101 - always a pipe, see `_started`
        self.stdout = process.stdout
        self._process = process
        self._errors = errors
        self._secrets = secrets

    def wait(self) -> None:
        """Raises ToolFailed, with the last lines of stderr, unless the program ended well."""
        code = self._process.wait()
        if code:
            raise ToolFailed(
                msg(
                    "`{program}` ended with {code}: {stderr}",
                    program=Path(str(self._process.args[0])).name,  # type: ignore[index]  # always a list, see `_started`
                    code=f"signal {-code}" if code < 0 else f"exit code {code}",
                    stderr=self.last_words() or "it said nothing",
                )
            )

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


@contextmanager
def _started(arguments: Sequence[str], environment: Environment) -> Iterator[_Child]:
    secrets = [value for value in environment.values() if isinstance(value, Secret)]
    revealed = {name: value.reveal() if isinstance(value, Secret) else value for name, value in environment.items()}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list, never a shell string
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "LC_MESSAGES": "C", **revealed},
                start_new_session=os.name != "nt",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise ToolMissing(
                msg("`{program}` cannot be started: {reason}", program=arguments[0], reason=error.strerror)
            ) from None
        child = _Child(process, errors, secrets)
        try:
            yield child
        finally:
            child.stop()
