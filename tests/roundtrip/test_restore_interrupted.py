"""A restore that is asked to stop, or whose disk fails: all put back before the swap, whole after it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements import requires_program
from tests.restores import Scene, assert_whole_after_recovery, counted_calls, sqlite_scene, strike

RESTORE = ("restore", "app", "--yes")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return sqlite_scene(tmp_path)


@pytest.fixture
def strace() -> str:
    return str(requires_program("strace", only="linux"))


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_a_polite_end_is_the_old_state_or_the_new_and_leaves_nothing(
    scene: Scene, strace: str, tmp_path: Path, signal: str
) -> None:
    calls = counted_calls(scene.project, strace, tmp_path / "calls", *RESTORE)["fsync"]
    outcomes: set[str] = set()
    for number in (calls[4], calls[len(calls) // 2], *calls[-14::3]):
        scene.reset()
        done = strike(scene.project, strace, "fsync", number, *RESTORE, what=f"signal={signal}")
        assert done.returncode == 130, (number, done.stderr)
        assert "Traceback" not in done.stderr
        live = scene.live()
        assert live in (scene.old, scene.new), number
        assert scene.leftovers() == [], number
        told = "it stays" if live == scene.new else "put back"
        assert told in done.stderr, (number, done.stderr)
        outcomes.add(told)
    assert len(outcomes) == 2


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failing_disk_never_makes_a_mix(scene: Scene, strace: str, tmp_path: Path, call: str, error: str) -> None:
    numbers = counted_calls(scene.project, strace, tmp_path / "calls", *RESTORE)[call]
    failed = 0
    for number in sorted({*numbers[:2], numbers[len(numbers) // 2], *numbers[-9::2]}):
        scene.reset()
        done = strike(scene.project, strace, call, number, *RESTORE, what=f"error={error}")
        assert done.returncode in (0, 3, 14, 16), (number, done.stderr)
        assert "Traceback" not in done.stderr
        failed += done.returncode in (14, 16)
        assert scene.is_interrupted() is (done.returncode == 16), (number, done.stderr)
        if done.returncode == 14:
            assert scene.live() == scene.old, (number, done.stderr)
        assert_whole_after_recovery(scene, f"{call} {number} {error}", done.stderr)
    assert failed >= 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    requires_program("mount", only="linux")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk here; the injected ENOSPC covers the rest")
    yield small
    subprocess.run(["umount", str(small)], check=True)


def test_no_room_for_the_safety_copy_of_the_media_keeps_the_original(tmp_path: Path, small_disk: Path) -> None:
    """Its database fits there, its media do not: they stay beside the root, named, and undo finds them."""
    extra = f"restore: {{safety_copy: {{path: '{small_disk.as_posix()}'}}}}\n"
    scene = sqlite_scene(tmp_path, extra=extra)
    (scene.project.media / "large.bin").write_bytes(bytes(range(256)) * 2000)
    before = scene.live()
    done = scene.project.run(*RESTORE)
    assert done.returncode == 3, done.stderr
    assert "the safety copy could not be made" in done.stderr
    assert scene.live() == scene.new
    (replaced,) = scene.project.folder.glob(".media.*.old")
    assert str(replaced) in done.stderr
    for part in small_disk.glob(".*"):
        assert part.name.endswith(".part"), part
    undone = scene.project.run("undo", "app", "--yes", "--to", replaced.name.split(".")[2])
    assert undone.returncode in (3, 15), undone.stderr
    assert scene.live() == (before if undone.returncode == 3 else scene.new)
