"""The log of one run, in the state folder: what happened and when, in English, for whoever asks later.

A log that cannot be written stops nothing. The newest fifty of a profile are kept.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final

from runner.durable import make_private_folder, open_private
from runner.errors import Finding
from runner.events import Began, Event, Logged, Noticed, StageEnded, StageStarted

KEPT: Final = 50


class RunLog:
    """A file that is made when a run says its id, `RUN_ID.log` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None

    def note(self, event: Event) -> None:
        """Write an event down, if it is one for a log."""
        match event:
            case Began(command, run_id):
                self._open(run_id)
                self._write("begin", f"{command} {run_id}")
            case StageStarted(action, title):
                self._write("start", f"{action.value}: {title}")
            case StageEnded(action):
                self._write("end", action.value)
            case Noticed(finding):
                self._finding("warning", finding)
            case Logged(message):
                self._write("note", str(message))
            case _:
                pass

    def failed(self, findings: Sequence[Finding]) -> None:
        """Write down what the run ended with."""
        for finding in findings:
            self._finding("error", finding)

    def close(self) -> None:
        """Nothing comes after this. Nothing is written either: what the run has done is done, signals or not."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self, run_id: str) -> None:
        with suppress(OSError):
            make_private_folder(self._folder)
            for old in sorted(self._folder.glob("*.log"))[: 1 - KEPT]:
                old.unlink(missing_ok=True)
            path = self._folder / f"{run_id}.log"  # which `recover` adds to
            self._file = open_private(path)

    def _finding(self, kind: str, finding: Finding) -> None:
        hint = "" if finding.hint is None else f" ({finding.hint})"
        self._write(kind, f"{finding.code}: {finding}{hint}")

    def _write(self, kind: str, text: str) -> None:
        if self._file is None:
            return
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        line = f"{now} {kind:7} {' '.join(text.split())}".rstrip()
        with suppress(OSError):
            self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
