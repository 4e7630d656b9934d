"""A media root that is swapped in one way, and its steps: taken here, or in a process that is killed at one call."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.media.restoration import MediaRestoration
from runner.model.marks import Side
from tests.requirements import requires_program
from tests.unit.media import restoring
from tests.unit.media.restoring import RUN, fill_old, incoming

CHECKOUT = Path(__file__).parents[3]
CHANGING = "rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,fsync,syncfs,chmod,fchmod,fchmodat,utimensat"
SHARES = [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(30, id="sample")]


@dataclass
class Place:
    """A root that is swapped in one way."""

    folder: Path
    root: Path
    kept: Path
    exchange: bool

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def act(self, step: str) -> None:
        restoring.act(self.root, self.journal, self.kept, step, exchange=self.exchange)

    def side(self) -> Side:
        return restoring.restoration(self.root, self.journal, exchange=self.exchange).side()

    def killed(self, step: str, call: str, number: int) -> int:
        """The step in a process that is killed at one call; its exit code."""
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        return self._process(step, "-o", "/dev/null", *inject)

    def calls(self, step: str) -> list[tuple[str, int]]:
        """Every call of a whole step that changes something."""
        log = self.folder / "calls"
        assert self._process(step, "-o", str(log), "-e", f"trace={CHANGING}") == 0
        numbers: dict[tuple[str, str], int] = {}
        found: set[tuple[str, int]] = set()
        for line in log.read_text("utf-8", "replace").splitlines():
            if call := re.match(r"(\d+) +(\w+)\(", line):
                key = (call[1], call[2])
                numbers[key] = numbers.get(key, 0) + 1
                found.add((call[2], numbers[key]))
        log.unlink()
        return sorted(found)

    def _process(self, step: str, *options: str) -> int:
        strace = str(requires_program("strace", only="linux"))
        names = ("root", "journal", "kept")
        arguments = {name: str(getattr(self, name)) for name in names} | {"step": step, "exchange": self.exchange}
        command = [strace, "-f", "-qq", *options, sys.executable, "-B", "-m", "tests.unit.media.restoring"]
        return subprocess.run([*command, json.dumps(arguments)], cwd=CHECKOUT, check=False).returncode

    def leftovers(self) -> list[str]:
        known = {self.root.name, self.journal.name}
        beside = [path.name for path in self.folder.iterdir() if path.name not in known and path != self.kept.parent]
        return beside + [path.name for path in self.root.glob(".runner-*")]

    def fresh(self) -> None:
        """The old root again, and nothing else."""
        for path in self.folder.iterdir():
            if path != self.root:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.kept.parent, ignore_errors=True)
        for path in self.root.iterdir() if self.root.exists() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.root.mkdir(exist_ok=True)
        fill_old(self.root)


def mounted(folder: Path, size: str = "8m") -> None:
    requires_program("mount", only="linux")
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system here")


def without_excluded(old: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {
        path: found for path, found in old.items() if "cache" not in path and ".tmp" not in path and "skip" not in path
    }


BEFORE = {
    "swap": ("stage",),
    "carry": ("stage", "swap"),
    "keep": ("stage", "swap", "carry"),
    "let_go": ("stage", "swap"),
    "swap_back": ("stage", "swap", "carry"),
    "discard": ("stage",),
    "stage": (),
}


def prepare(place: Place, step: str) -> None:
    place.fresh()
    for earlier in BEFORE[step]:
        place.act(earlier)


def strikes(place: Place, step: str, share: int) -> Iterator[tuple[str, int]]:
    """Kill `step` at its calls (one in `share` of them), each time on fresh ground."""
    prepare(place, step)
    calls = place.calls(step)
    assert len(calls) >= 3
    struck = 0
    for call, number in calls[::share]:
        prepare(place, step)
        struck += place.killed(step, call, number) in (-9, 137)
        yield call, number
    assert struck >= len(calls[::share]) * 0.8


def nothing(_: object) -> None:
    """Notes or counts nothing."""


def restored(root: Path) -> MediaRestoration:
    made = MediaRestoration(root, RUN, None)
    made.stage(incoming(), nothing, nothing)
    made.swap(nothing)
    return made
