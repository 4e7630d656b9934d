"""A media root replaced and put back, by every way, killed at every call that changes something."""

import json
import os
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
from tests.unit.media.restoring import EXCLUDE, RUN, fill_old, incoming, picture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes, links and kills of POSIX systems")
CHECKOUT = Path(__file__).parents[3]
CHANGING = "rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,fsync,chmod,fchmod,fchmodat,utimensat"


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


@pytest.fixture(params=["exchange", "renames", "entries"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "site"
    folder.mkdir()
    root = folder / "media"
    root.mkdir()
    made = Place(folder, root, folder / "backups_local" / "kept", request.param != "renames")
    if request.param != "entries":
        made.fresh()
        yield made
        return
    mounted(root)
    try:
        made.fresh()
        yield made
    finally:
        subprocess.run(["umount", str(root)], check=True)


def old_picture(place: Place) -> dict[str, tuple[object, ...]]:
    place.fresh()
    return picture(place.root)


def new_picture(tmp_path: Path) -> dict[str, tuple[object, ...]]:
    """What `incoming` is, restored where nothing was."""
    made = MediaRestoration(tmp_path / "ideal" / "media", RUN, None)
    made.stage(incoming(), lambda _: None, lambda _: None)
    made.swap(lambda _: None)
    return picture(tmp_path / "ideal" / "media")


def without_excluded(old: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {
        path: found for path, found in old.items() if "cache" not in path and ".tmp" not in path and "skip" not in path
    }


def test_swapped_carried_and_kept(place: Place, tmp_path: Path) -> None:
    old, new = picture(place.root), new_picture(tmp_path)
    place.act("stage")
    assert place.side() is Side.OLD
    assert {path: place for path, place in picture(place.root).items() if not path.startswith(".runner")} == old
    place.act("swap")
    assert place.side() is Side.NEW
    place.act("carry")
    place.act("carry")
    carried = {path: old[path] for path in old if path not in without_excluded(old)}
    now = {path: found for path, found in picture(place.root).items() if not path.startswith(".runner")}
    assert now == new | carried | {path: old[path] for path in ("gone", "deep/a")}
    place.act("keep")
    place.act("keep")
    assert picture(place.kept) == without_excluded(old)
    assert (place.side(), place.leftovers()) == (Side.NEW, [])
    assert picture(place.root)["."] == new["."]


def test_swapped_back_after_a_carry(place: Place) -> None:
    old = picture(place.root)
    for step in ("stage", "swap", "carry", "swap_back", "discard", "discard"):
        place.act(step)
    assert picture(place.root) == old
    assert (place.side(), place.leftovers()) == (Side.OLD, [])


def test_let_go(place: Place, tmp_path: Path) -> None:
    for step in ("stage", "swap", "let_go", "let_go"):
        place.act(step)
    assert picture(place.root) == new_picture(tmp_path)
    assert (place.side(), place.leftovers(), place.kept.exists()) == (Side.NEW, [], False)


def test_discarded_before_the_swap(place: Place) -> None:
    old = picture(place.root)
    place.act("stage")
    place.act("discard")
    assert (picture(place.root), place.leftovers()) == (old, [])


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


def ours(place: Place) -> dict[str, tuple[object, ...]]:
    return {path: found for path, found in picture(place.root).items() if not path.startswith(".runner")}


def assert_old(place: Place, old: dict[str, tuple[object, ...]]) -> None:
    place.act("swap_back")
    assert place.side() is Side.OLD
    place.act("discard")
    assert (picture(place.root), place.leftovers()) == (old, [])


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


SHARES = [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(16, id="sample")]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("step", ["swap", "carry", "swap_back"])
def test_killed_then_back(place: Place, step: str, share: int) -> None:
    old = old_picture(place)
    for _ in strikes(place, step, share):
        assert place.side() is not Side.UNCLEAR
        assert_old(place, old)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("step", ["swap", "carry", "swap_back", "keep"])
def test_killed_then_forward(place: Place, tmp_path: Path, step: str, share: int) -> None:
    old, whole = old_picture(place), {}
    for earlier in ("stage", "swap", "carry"):
        place.act(earlier)
    whole = ours(place)
    place.act("keep")
    kept = picture(place.kept)
    assert kept == without_excluded(old)
    for _ in strikes(place, step, share):
        if step == "keep":
            assert place.side() is Side.NEW
        elif place.side() is not Side.NEW:
            if place.side() is Side.OLD and not place_is_staged(place):
                continue
            place.act("swap")
        if step != "keep":
            restoring.restoration(place.root, place.journal, exchange=place.exchange).carry(EXCLUDE)
        place.act("keep")
        assert (ours(place), picture(place.kept)) == (whole, kept)
        assert (place.side(), place.leftovers()) == (Side.NEW, [])


def place_is_staged(place: Place) -> bool:
    marks = restoring.restoration(place.root, place.journal).marks
    return Path(marks.staged).exists()


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("step", ["stage", "discard"])
def test_killed_before_the_swap(place: Place, step: str, share: int) -> None:
    old = old_picture(place)
    for _ in strikes(place, step, share * 2 if share > 1 else 1):
        assert place.side() is Side.OLD
        place.act("discard")
        assert (picture(place.root, times=False), place.leftovers()) == (
            {path: (found[0], None, found[2]) for path, found in old.items()},
            [],
        )


@pytest.mark.parametrize("share", SHARES)
def test_killed_while_letting_go(place: Place, share: int) -> None:
    for _ in strikes(place, "let_go", share):
        assert place.side() is Side.NEW
        place.act("let_go")
        assert (place.side(), place.leftovers()) == (Side.NEW, [])
