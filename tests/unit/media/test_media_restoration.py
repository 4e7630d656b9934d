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

from runner.errors import IntegrityError, SourceMissing, StepFailed
from runner.media.exchange import rename_alone
from runner.media.restoration import MediaRestoration
from runner.media.staging import Incoming
from runner.media.traits import FileSystemTraits
from runner.model.marks import RunNames, Side
from tests.privileges import give_away, unprivileged
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
    assert (sound(place, picture(place.root)), place.leftovers()) == (sound(place, old), [])


def sound(place: Place, found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """All that a kill leaves exact: by entries, the time of the root itself may be that of the kill."""
    mode, _, content = found["."]
    return found | {".": (mode, None, content)} if os.path.ismount(place.root) else found


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


SHARES = [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(30, id="sample")]


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
        assert sound(place, ours(place)) == sound(place, whole)
        assert sound(place, picture(place.kept)) == sound(place, kept)
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


def nothing(_: object) -> None:
    """Notes or counts nothing."""


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """An old root."""
    root = tmp_path / "site" / "media"
    root.mkdir(parents=True)
    fill_old(root)
    return root


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = memory / f"runner-media-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def restored(root: Path) -> MediaRestoration:
    made = MediaRestoration(root, RUN, None)
    made.stage(incoming(), nothing, nothing)
    made.swap(nothing)
    return made


def test_kept_on_another_disk(media: Path, other_disk: Path) -> None:
    os.mkfifo(media / "fifo")
    (media / "closed").mkdir(mode=0o500)
    (media / "out").symlink_to("/etc/hostname")
    (media / os.fsdecode(b"\xff\n")).write_bytes(b"odd")
    old = picture(media)
    made = restored(media)
    target = other_disk / "backups_local" / "media_pre_restore_x"
    counted: list[int] = []
    assert made.keep(target, nothing, counted.append) == target
    assert picture(target) == old
    assert sum(counted) == sum(len(found[2]) for found in old.values() if isinstance(found[2], bytes))
    assert [path.name for path in media.parent.iterdir()] == ["media"]
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("share", SHARES)
def test_killed_while_keeping_on_another_disk(media: Path, other_disk: Path, share: int) -> None:
    place = Place(media.parent, media, other_disk / "backups_local" / "kept", exchange=True)
    kept = without_excluded(picture(media))
    for _ in strikes(place, "keep", share):
        assert place.side() is Side.NEW
        if place.kept.exists():
            assert picture(place.kept) == kept
        place.act("keep")
        assert picture(place.kept) == kept
        assert (place.leftovers(), [path.name for path in place.kept.parent.iterdir()]) == ([], ["kept"])


def test_a_name_that_is_taken_is_not_replaced_and_the_old_root_stays(media: Path) -> None:
    old = picture(media)
    made = restored(media)
    target = media.parent / "backups_local" / "kept"
    target.mkdir(parents=True)
    (target / "precious").write_text("x")
    with pytest.raises(StepFailed):
        made.keep(target, nothing, nothing)
    assert [path.name for path in target.iterdir()] == ["precious"]
    assert picture(RUN.replaced(media)) == old


@pytest.mark.parametrize("other", [False, True], ids=["renamed", "copied"])
def test_undone_by_adopting_what_was_kept(media: Path, other_disk: Path, *, other: bool) -> None:
    old = picture(media)
    made = restored(media)
    new = picture(media)
    kept = (other_disk if other else media.parent) / "kept"
    made.keep(kept, nothing, nothing)
    undo_names = RunNames("20260109_110353-0123abce")
    undo = MediaRestoration(media, undo_names, None)
    undo.adopt(kept, nothing, nothing)
    undo.discard()
    assert (picture(kept), picture(media)) == (old, new)
    undo = MediaRestoration(media, undo_names, None)
    undo.adopt(kept, nothing, nothing)
    assert (undo.marks.origin is None) is other
    undo.swap(nothing)
    assert picture(media) == old
    again = media.parent / "again"
    undo.keep(again, nothing, nothing)
    assert picture(again) == new
    assert sorted(path.name for path in media.parent.iterdir()) == ["again", "media"]
    assert kept.exists() is other


def test_adopting_by_entries_goes_home_too(media: Path, tmp_path: Path) -> None:
    root = tmp_path / "mount"
    mounted(root)
    try:
        (root / "media").mkdir()  # a bind mount of a folder below, so that kept and root are on one file system
        subprocess.run(["mount", "--bind", str(root / "media"), str(root / "media")], check=True)
        try:
            fill_old(root / "media")
            old = picture(root / "media")
            kept = root / "media" / ".kept"
            kept.mkdir()
            fill_old(kept)
            wanted = picture(kept)
            made = MediaRestoration(root / "media", RUN, None)
            assert made.marks.way == "entries"
            assert made.look().is_mount
            made.adopt(kept, nothing, nothing)
            made.discard()
            assert picture(kept) == wanted
            shutil.rmtree(kept)
            assert set(picture(root / "media")) == set(old)
        finally:
            subprocess.run(["umount", str(root / "media")], check=True)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_what_was_kept_and_is_gone_cannot_be_adopted(media: Path) -> None:
    with pytest.raises(SourceMissing):
        MediaRestoration(media, RUN, None).adopt(media.parent / "kept", nothing, nothing)


def test_a_link_as_root_stays_a_link(media: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "media"
    link.parent.mkdir()
    link.symlink_to(media)
    old = picture(media)
    live = MediaRestoration(link, RUN, None).look()
    assert (live.exists, live.is_link, live.target, live.files) == (True, True, str(media), 8)
    assert live.newest_change is not None
    assert live.newest_change.timestamp() == 1_600_000_000
    made = restored(link)
    assert link.is_symlink()
    assert (media / "receipts/three").read_text() == "new three"
    assert [path.name for path in link.parent.iterdir()] == ["media"]
    made.swap_back(nothing)
    made.discard()
    assert picture(media) == old


def test_a_root_that_was_not_there(tmp_path: Path) -> None:
    root = tmp_path / "not" / "yet" / "media"
    made = MediaRestoration(root, RUN, None)
    assert not made.look().exists
    assert [finding.code for finding in made.preflight([b"a"], 1).warnings] == ["media.parent"]
    made.stage(incoming(), nothing, nothing)
    assert made.side() is Side.OLD
    made.swap(nothing)
    assert made.side() is Side.NEW
    made.swap_back(nothing)
    assert (made.side(), root.exists()) == (Side.OLD, False)
    made.swap(nothing)
    assert made.keep(tmp_path / "kept", nothing, nothing) is None
    assert list(root.parent.iterdir()) == [root]


@pytest.mark.parametrize("existed", [True, False])
def test_a_folder_that_appeared_meanwhile_is_never_replaced(media: Path, *, existed: bool) -> None:
    made = MediaRestoration(media, RUN, None)
    if not existed:
        shutil.rmtree(media)
    made.stage(incoming(), nothing, nothing)
    if existed:
        media.rename(media.with_name("moved"))
    media.mkdir()
    with pytest.raises(StepFailed):
        made.swap(nothing)
    assert (list(media.iterdir()), made.side()) == ([], Side.UNCLEAR)
    made.discard()
    assert media.exists()
    assert not [path for path in media.parent.iterdir() if path.name.startswith(".")]


def test_an_empty_folder_is_not_renamed_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError):
        rename_alone(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").exists()


def test_nothing_is_discarded_once_the_new_tree_is_live(place: Place) -> None:
    place.act("stage")
    place.act("swap")
    before = picture(place.folder)
    with pytest.raises(StepFailed):
        place.act("discard")
    assert picture(place.folder) == before


def test_carried_never_over_something_and_never_through_a_link(media: Path) -> None:
    made = restored(media)
    (media / "cache").mkdir()
    (media / "cache" / "c").write_text("newer")
    (media / "gone").symlink_to("receipts")
    carried = made.carry(EXCLUDE)
    assert sorted(carried) == ["cache/deep", "deep/a/skipped", "x.tmp"]
    assert (media / "cache/c").read_text() == "newer"
    assert not (media / "receipts/y.tmp").exists()
    assert (RUN.replaced(media) / "gone/y.tmp").exists()


def test_a_full_disk_leaves_the_live_root_alone(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    mounted(disk, "1m")
    try:
        root = disk / "media"
        root.mkdir()
        fill_old(root)
        old = picture(root)
        content = os.urandom(1 << 16)
        made = MediaRestoration(root, RUN, None)
        many = (
            Incoming(b"%d" % number, "file", str(number), size=len(content), chunks=lambda: iter((content,)))
            for number in range(40)
        )
        with pytest.raises(StepFailed, match="No space left") as caught:
            made.stage(many, nothing, nothing)
        assert caught.value.hint is not None
        assert picture(root) == old
        made.discard()
        assert (picture(root), [path.name for path in disk.iterdir()]) == (old, ["media"])
        assert [error.code for error in made.preflight([b"a"], 1 << 30).errors] == ["refused"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_hostile_entry_is_discarded(media: Path) -> None:
    old = picture(media)
    made = MediaRestoration(media, RUN, None)
    with pytest.raises(IntegrityError):
        made.stage([*incoming(), Incoming(b"../evil", "file", "media/../evil")], nothing, nothing)
    made.discard()
    assert picture(media) == old
    assert [path.name for path in media.parent.iterdir()] == ["media"]


PATHS = [b"a/x", b"A/y", "é".encode(), "e\u0301".encode(), b"con.txt", b"a:b", b"end.", b"\xff", b"n" * 100]


@pytest.mark.parametrize(
    ("traits", "refused"),
    [
        (FileSystemTraits(), []),
        (FileSystemTraits(ignores_case=True), ["A/y"]),
        (FileSystemTraits(ignores_normalisation=True), ["e\u0301"]),
        (FileSystemTraits(reserved_names=True), ["con.txt", "a:b", "end."]),
        (FileSystemTraits(only_text=True), ["\\udcff"]),
        (FileSystemTraits(max_name_bytes=99), ["n" * 100]),
    ],
)
def test_names_are_refused_only_where_they_cannot_be(media: Path, traits: FileSystemTraits, refused: list[str]) -> None:
    made = MediaRestoration(media, RUN, None, traits=lambda _: traits)
    found = made.preflight(PATHS, 1)
    assert [(error.code, error.where) for error in found.errors] == [("refused", name) for name in refused]
    assert all(error.hint for error in found.errors)


def test_this_file_system_is_asked(media: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems' file systems ignore more")
    assert MediaRestoration(media, RUN, None).preflight(PATHS, 1).errors == []
    assert [path.name for path in media.parent.iterdir()] == ["media"]


def test_a_mount_below_the_root_is_refused(media: Path) -> None:
    mounted(media / "cache")
    try:
        errors = MediaRestoration(media, RUN, None).preflight([], 0).errors
        assert ["mount point" in str(error) for error in errors] == [True]
    finally:
        subprocess.run(["umount", str(media / "cache")], check=True)


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("x")
    assert len(MediaRestoration(tmp_path / "media", RUN, None).preflight([], 0).errors) == 1


def test_what_the_application_makes_meanwhile_is_set_aside(place: Place) -> None:
    if not os.path.ismount(place.root):
        pytest.skip("entries move one by one only in a mount point")
    new, replaced = (place.root / f".runner-{RUN.run_id}.{which}" for which in ("new", "old"))
    for number in range(1, 30):
        prepare(place, "swap")
        place.killed("swap", "renameat2", number)
        if (replaced / "up").exists() and (new / "content/receipts").exists():
            break
    (place.root / "receipts").mkdir()
    (place.root / "receipts" / "written meanwhile").write_text("by the application")
    place.act("swap")
    assert (place.root / "receipts/three").read_text() == "new three"
    aside = replaced / "content" / "receipts.appeared-1" / "written meanwhile"
    assert aside.read_text() == "by the application"


def test_a_parent_that_may_not_be_written_to(tmp_path: Path) -> None:
    place = Place(tmp_path / "site", tmp_path / "site" / "media", tmp_path / "kept" / "kept", exchange=True)
    place.root.mkdir(parents=True)
    place.kept.parent.mkdir()
    fill_old(place.root)
    (place.root / "closed").mkdir(mode=0o500)
    old = picture(place.root)
    journal = place.kept.parent / "journal"
    for owned in (place.root, place.kept.parent):
        give_away(owned)
    place.folder.chmod(0o555)
    try:
        with unprivileged(tmp_path) as before:
            for step in ("stage", "swap", "swap_back", "discard", "stage", "swap", "keep"):
                arguments = {"root": str(place.root), "journal": str(journal), "kept": str(place.kept)}
                given = json.dumps(arguments | {"step": step, "exchange": True})
                command = [*before, sys.executable, "-B", "-m", "tests.unit.media.restoring", given]
                done = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                if step == "discard":
                    assert picture(place.root) == old
                    journal.unlink()
    finally:
        place.folder.chmod(0o755)
    assert picture(place.kept) == old
    assert (place.root / "receipts/three").exists()
    assert [path.name for path in place.folder.iterdir()] == ["media"]
    assert not list(place.root.glob(".runner-*"))
