"""A media root replaced, kept and put back, by every way."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import StepFailed
from runner.media.restoration import MediaRestoration
from runner.media.trees import remove_tree
from runner.model.marks import RunNames, Side
from tests.privileges import give_away, unprivileged
from tests.unit.media.places import CHECKOUT, Place, mounted, nothing, restored, without_excluded
from tests.unit.media.restoring import EXCLUDE, RUN, fill_old, incoming, picture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes, links and kills of POSIX systems")


def new_picture(tmp_path: Path) -> dict[str, tuple[object, ...]]:
    """What `incoming` is, restored where nothing was."""
    made = MediaRestoration(tmp_path / "ideal" / "media", RUN, None)
    made.stage(incoming(), lambda _: None, lambda _: None)
    made.swap(lambda _: None)
    return picture(tmp_path / "ideal" / "media")


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


def test_what_was_adopted_goes_home_though_its_folder_is_gone(media: Path) -> None:
    old = picture(media)
    made = restored(media)
    kept = media.parent / "backups_local" / "kept"
    made.keep(kept, nothing, nothing)
    undo = MediaRestoration(media, RunNames("20260109_110353-0123abce"), None)
    undo.adopt(kept, nothing, nothing)
    kept.parent.rmdir()
    undo.discard()
    assert picture(kept) == old


def test_a_copy_that_finds_no_room_leaves_nothing(
    media: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = restored(media)

    def no_room(_source: Path, target: Path, _advance: object) -> None:
        target.mkdir()
        (target / "begun").write_bytes(b"begun")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("runner.media.restoration.copy_tree", no_room)
    target = other_disk / "kept"
    with pytest.raises(StepFailed, match="what was replaced cannot be moved or copied there: No space left"):
        made.keep(target, nothing, nothing)
    assert list(other_disk.iterdir()) == []
    monkeypatch.undo()
    assert made.keep(target, nothing, nothing) == target


def test_an_original_that_cannot_be_removed_is_no_failure(
    media: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = picture(media)
    made = restored(media)
    whole = remove_tree

    def refuse(folder: Path) -> None:
        if folder.name.endswith(".gone") and folder.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        whole(folder)

    for module in ("restoration", "removal"):
        monkeypatch.setattr(f"runner.media.{module}.remove_tree", refuse)
    target = other_disk / "kept"
    assert made.keep(target, nothing, nothing) == target
    assert picture(target) == old
    (left,) = (path for path in media.parent.iterdir() if path != media)
    assert made.not_removed is not None
    assert made.not_removed.where == str(left)


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
