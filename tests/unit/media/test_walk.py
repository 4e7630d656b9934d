"""The walk: its order, and what it says of everything that is no plain file, folder or link."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.media.select import Selection
from runner.media.walk import Node, Obstacle, ObstacleKind, is_placeholder, walk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names, links and special files of POSIX systems")

EVERYTHING = Selection([])


def paths(root: Path, selection: Selection = EVERYTHING) -> list[str]:
    found = list(walk(root, selection))
    assert all(isinstance(item, Node) for item in found)
    return [item.path for item in found]


def obstacles(root: Path) -> dict[str, tuple[ObstacleKind, str]]:
    return {item.path: (item.kind, item.detail) for item in walk(root, EVERYTHING) if isinstance(item, Obstacle)}


def test_folders_come_before_what_is_in_them_and_names_are_sorted_as_bytes(tmp_path: Path) -> None:
    for folder in ("b", "a", "a-b", "é"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").touch()
    for file in ("a.txt", "B", "a/.hidden", "a/z"):
        (tmp_path / file).touch()
    assert paths(tmp_path) == [
        *("", "B", "a-b", "a-b/x", "a.txt", "a", "a/.hidden", "a/x", "a/z", "b", "b/x", "é", "é/x"),
    ]


def test_what_is_excluded_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "kept").touch()
    (tmp_path / "cache" / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "cache" / "fifo")
    assert paths(tmp_path, Selection(["cache"])) == ["", "kept"]
    assert paths(tmp_path, Selection(["cache/**"])) == ["", "cache", "kept"]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("inside", None),
        ("folder/file", None),
        ("../media/inside", None),
        ("nowhere", None),
        ("folder/../../media/nowhere", None),
        ("link", None),
        (".", None),
        ("..", ObstacleKind.LINK_OUTSIDE),
        ("../media-2", ObstacleKind.LINK_OUTSIDE),
        ("/etc/hostname", ObstacleKind.LINK_OUTSIDE),
        ("/no/such/place", ObstacleKind.LINK_OUTSIDE),
        ("way-out", ObstacleKind.LINK_OUTSIDE),
        ("away/inside", ObstacleKind.LINK_OUTSIDE),
    ],
)
def test_where_links_lead(tmp_path: Path, target: str, kind: ObstacleKind | None) -> None:
    root = tmp_path / "media"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "media-2").mkdir()
    for file in ("inside", "folder/file"):
        (root / file).touch()
    (root / "link").symlink_to(target)
    if target == "way-out":
        (root / "way-out").symlink_to("../media-2")
    if target == "away/inside":
        (root / "away").symlink_to("../media-2")
    found = {item.path: item for item in walk(root, EVERYTHING)}
    item = found["link"]
    if kind is None:
        assert isinstance(item, Node)
        assert (item.is_link, item.target) == (True, target)
    else:
        assert isinstance(item, Obstacle)
        assert (item.kind, item.detail) == (kind, target)


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "real" / "absolute").symlink_to(tmp_path / "real" / "file")
    (tmp_path / "media").symlink_to("real")
    assert paths(tmp_path / "media") == ["", "absolute", "file"]


def test_devices_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    try:
        os.mknod(tmp_path / "device", 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make devices")
    assert obstacles(tmp_path) == {"fifo": (ObstacleKind.SPECIAL, "FIFO"), "device": (ObstacleKind.SPECIAL, "device")}


@pytest.mark.parametrize("becomes", ["nothing", "folder", "fifo"])
def test_a_file_that_changes_its_kind_after_the_listing(tmp_path: Path, becomes: str) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    walking = walk(tmp_path, EVERYTHING)
    assert [next(walking).path, next(walking).path] == ["", "a"]
    (tmp_path / "b").unlink()
    if becomes == "folder":
        (tmp_path / "b").mkdir()
    if becomes == "fifo":
        os.mkfifo(tmp_path / "b")
    (item,) = walking
    assert isinstance(item, Obstacle)
    assert item.path == "b"
    assert (
        item.kind
        is {
            "nothing": ObstacleKind.VANISHED,
            "folder": ObstacleKind.UNREADABLE,
            "fifo": ObstacleKind.SPECIAL,
        }[becomes]
    )


@pytest.mark.parametrize("becomes", ["nothing", "file"])
def test_a_folder_that_changes_its_kind_after_the_listing(tmp_path: Path, becomes: str) -> None:
    """A file `b` must come before `b.txt`, a folder `b/` after it: in its old place it would break the order."""
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    walking = walk(tmp_path, EVERYTHING)
    assert [next(walking).path, next(walking).path] == ["", "a"]
    (tmp_path / "b").rmdir()
    if becomes == "file":
        (tmp_path / "b").touch()
    (item,) = walking
    assert isinstance(item, Obstacle)
    assert (item.kind, item.path) == (
        ObstacleKind.VANISHED if becomes == "nothing" else ObstacleKind.UNREADABLE,
        "b",
    )


def test_a_folder_that_vanishes_before_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    walking = walk(tmp_path, EVERYTHING)
    assert [next(walking).path, next(walking).path] == ["", "b"]
    (tmp_path / "b").rmdir()
    (item,) = walking
    assert isinstance(item, Obstacle)
    assert (item.kind, item.detail) == (ObstacleKind.VANISHED, "folder")


def test_a_file_that_comes_and_goes_is_never_called_unreadable(tmp_path: Path) -> None:
    """Between each two questions about it, it may vanish; only the system's answer may tell the two apart."""
    script = (
        "import os, sys\nprint('going', flush=True)\n"
        "for _ in range(10_000_000):\n    open(sys.argv[1], 'w').close()\n    os.unlink(sys.argv[1])\n"
    )
    (tmp_path / "kept").touch()
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as restless:
        assert restless.stdout is not None
        restless.stdout.readline()
        try:
            kinds = {
                item.kind for _ in range(5000) for item in walk(tmp_path, EVERYTHING) if isinstance(item, Obstacle)
            }
        finally:
            restless.kill()
    assert kinds <= {ObstacleKind.VANISHED}


def test_a_root_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk(tmp_path / "none", EVERYTHING))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        list(walk(tmp_path / "file", EVERYTHING))


@pytest.mark.parametrize(
    ("attributes", "placeholder"),
    [(0, False), (0x20, False), (0x400, False), (0x1000, True), (0x40000, True), (0x400000, True), (0x401020, True)],
)
def test_placeholders_of_synchronised_folders(attributes: int, placeholder: bool) -> None:
    assert is_placeholder(attributes) is placeholder


names = st.binary(min_size=1, max_size=8).filter(lambda name: not set(name) & {0, 0x2F} and name not in (b".", b".."))


@settings(deadline=None)
@given(tree=st.lists(st.lists(names, min_size=1, max_size=3), max_size=8))
def test_every_tree_is_walked_once_and_in_order(
    tree: list[list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if sys.platform == "darwin":
        pytest.skip("its file system takes no such names")
    root = tmp_path_factory.mktemp("tree")
    for parts in tree:
        path = root.joinpath(*map(os.fsdecode, parts))
        with contextlib.suppress(OSError):  # a file where this one needs a folder, or the other way round
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    expected = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    found = paths(root)
    assert found[0] == ""
    assert len(found) == len(expected) + 1
    assert set(found[1:]) == expected
    keys = [os.fsencode(f"{path}/" if (root / path).is_dir() else path) for path in found[1:]]
    assert keys == sorted(keys)
