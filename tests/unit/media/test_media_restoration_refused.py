"""What a media root's restore refuses, before it or in it, leaves the live root as it was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import IntegrityError, SourceMissing, StepFailed
from runner.media.entries import Incoming
from runner.media.exchange import rename_alone
from runner.media.restoration import MediaRestoration
from runner.media.traits import FileSystemTraits
from runner.model.marks import Side
from tests.unit.media.places import Place, mounted, nothing, restored
from tests.unit.media.restoring import RUN, fill_old, incoming, picture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes, links and kills of POSIX systems")


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


def test_what_was_kept_and_is_gone_cannot_be_adopted(media: Path) -> None:
    with pytest.raises(SourceMissing):
        MediaRestoration(media, RUN, None).adopt(media.parent / "kept", nothing, nothing)


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
