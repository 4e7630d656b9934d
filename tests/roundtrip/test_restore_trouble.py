"""A restore that runs out of disk or is asked to stop: the old state or the new one, whole, and nothing unnamed."""

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements import requires_program
from tests.restores import (
    Scene,
    assert_whole_after_recovery,
    counted_calls,
    fresh_postgresql_scene,
    spoken,
    sqlite_scene,
)
from tests.servers.postgresql import Cluster

SEED = 20261124
SIZE = 64 << 20
INODES = 2000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that a test can make smaller and larger."""
    requires_program("mount", only="linux")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes={INODES}", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk here")
    yield small
    subprocess.run(["umount", str(small)], check=True)


def widen(disk: Path) -> None:
    """As much room as it had."""
    options = f"remount,size={SIZE},nr_inodes={INODES}"
    subprocess.run(["mount", "-o", options, str(disk)], check=True)


def leave(disk: Path, amount: int) -> None:
    """No more than `amount` new files fit on the disk."""
    now = os.statvfs(disk)
    used = now.f_files - now.f_ffree
    subprocess.run(["mount", "-o", f"remount,nr_inodes={used + amount}", str(disk)], check=True)


def scene_on(disk: Path, elsewhere: Path, *, extra: str = "") -> Scene:
    """A SQLite school on the disk; its template is not there."""
    scene = sqlite_scene(disk, extra=extra)
    shutil.move(scene.template, elsewhere / "template")
    scene.template = elsewhere / "template"
    return scene


def unnamed(scene: Scene, said: str) -> list[Path]:
    """What a restore left behind and said nothing of."""
    return [path for path in scene.leftovers() if path.name not in said]


FILLING = ("write", "pwrite64", "fsync", "mkdir", "link")


def struck(strace: str, call: str, number: int, what: str) -> tuple[str, ...]:
    """The command before the command: the blow `what` at one call."""
    options = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}")
    return (strace, "-f", "-qq", "-o", "/dev/null", *options)


def points(calls: dict[str, list[int]], few: int | None) -> list[tuple[str, int]]:
    """Where to strike: some of every kind, and of the last calls that make something durable."""
    every = [(call, number) for call, numbers in calls.items() for number in numbers]
    last = [("fsync", number) for number in calls["fsync"][-18:]]
    if few is None:
        return sorted({*random.Random(SEED).sample(every, min(120, len(every))), *last})
    chance = random.Random(SEED)
    return sorted({*chance.sample(every, few), *chance.sample(last, few)})


def outcome(scene: Scene, done: "subprocess.CompletedProcess[str]", point: object) -> str:
    """Which state is live after a restore that found no room, and that it said so."""
    where = f"{point}: {done.returncode} {done.stderr}"
    assert "Traceback" not in done.stderr, where
    assert "bug" not in done.stderr, where
    assert done.returncode in (0, 3, 11, 12, 14, 15, 16), where
    if scene.is_interrupted():
        assert done.returncode == 16, where
        assert "runner recover app" in spoken(done.stderr), where
        return f"{assert_whole_after_recovery(scene, where)} after recovery"
    live = scene.live()
    assert live in (scene.old, scene.new), where
    if done.returncode in (0, 3):
        assert live == scene.new, where
    elif live == scene.old:
        assert "hint:" in done.stderr, where
    assert unnamed(scene, done.stderr) == [], where
    return "old" if live == scene.old else "new"


@pytest.mark.parametrize(
    "amounts", [(8, 10, 12, 16, 40), pytest.param(range(45), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_disk_that_takes_no_more_files(small_disk: Path, tmp_path: Path, amounts: tuple[int, ...]) -> None:
    scene = scene_on(small_disk, tmp_path)
    outcomes: dict[int, str] = {}
    for amount in amounts:
        widen(small_disk)
        scene.reset()
        leave(small_disk, amount)
        done = scene.project.run("restore", "app", "--yes")
        widen(small_disk)
        outcomes[amount] = outcome(scene, done, amount)
    assert {"old", "new"} <= set(outcomes.values()), outcomes


@pytest.mark.parametrize("few", [6, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "many"])
def test_a_disk_that_is_full_at_any_call(tmp_path: Path, strace: str, few: int | None) -> None:
    scene = sqlite_scene(tmp_path)
    calls = counted_calls(scene.project, strace, tmp_path / "calls", "restore", "app", "--yes", alone=True)
    outcomes: dict[tuple[str, int], str] = {}
    for call, number in points({name: calls[name] for name in FILLING}, few):
        scene.reset()
        done = scene.project.run("restore", "app", "--yes", before=struck(strace, call, number, "error=ENOSPC"))
        outcomes[call, number] = outcome(scene, done, (call, number))
    assert "old" in outcomes.values(), outcomes


FILL = "import os; os.system('head -c 100M /dev/zero > {path} 2>/dev/null')"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_room_for_the_safety_copy(small_disk: Path, tmp_path: Path, engine: str, cluster: Cluster) -> None:
    """The disk of the safety copies is filled when everything is staged: after the preflight found it large enough."""
    script = tmp_path / "fill.py"
    script.write_text(FILL.format(path=small_disk / "filler"), "utf-8")
    extra = (
        f"hooks: {{before_restore: [[python3, '{script}']]}}\nrestore: {{safety_copy: {{path: '{small_disk}/kept'}}}}\n"
    )
    if engine == "sqlite":
        assert_whole_without_room(sqlite_scene(tmp_path, extra=extra), small_disk)
        return
    with fresh_postgresql_scene(tmp_path, cluster, extra=extra) as scene:
        assert_whole_without_room(scene, small_disk)


def test_media_that_have_no_room_on_the_disk_of_the_safety_copies(small_disk: Path, tmp_path: Path) -> None:
    scene = sqlite_scene(tmp_path, extra=f"restore: {{safety_copy: {{path: '{small_disk}/kept'}}}}\n")
    room = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes((room.f_bavail - 4) * room.f_frsize))
    refused = scene.project.run("restore", "app", "--variant", "media-only", "--yes", "--format", "json")
    assert refused.returncode == 15, refused.stderr
    (error,) = json.loads(refused.stdout)["errors"]
    assert error["code"] == "preflight.space"
    assert error["where"] == str(small_disk)
    assert scene.live() == scene.old
    (small_disk / "filler").unlink()
    done = scene.project.run("restore", "app", "--variant", "media-only", "--yes")
    assert done.returncode == 3, done.stderr  # references that the live database has since
    assert scene.live() == (scene.old[0], scene.new[1])


def assert_whole_without_room(scene: Scene, disk: Path) -> None:
    done = scene.project.run("restore", "app", "--yes")
    assert "Traceback" not in done.stderr
    assert (disk / "filler").exists()
    (disk / "filler").unlink()
    if done.returncode == 3:
        assert scene.live() == scene.new, done.stderr
        assert unnamed(scene, done.stderr) == [], done.stderr
        assert scene.leftovers() != []  # what could not be copied is still there, and named
        (scene.project.folder / "profiles" / "app.yml").write_text(
            "\n".join(
                line
                for line in (scene.project.folder / "profiles" / "app.yml").read_text("utf-8").splitlines()
                if not line.startswith("hooks:")
            ),
            "utf-8",
        )
        undone = scene.project.run("undo", "app", "--yes")
        assert undone.returncode in (0, 3), undone.stderr
        assert scene.live() == scene.old
        return
    assert done.returncode in (12, 14), done.stderr
    assert scene.live() == scene.old, done.stderr
    assert unnamed(scene, done.stderr) == [], done.stderr


def terminated(scene: Scene, strace: str, call: str, number: int) -> str:
    """The state after SIGTERM at one call; the exit code and what is left go with it."""
    scene.reset()
    done = scene.project.run("restore", "app", "--yes", before=struck(strace, call, number, "signal=SIGTERM"))
    where = f"{call} {number}: {done.returncode} {done.stderr}"
    assert "Traceback" not in done.stderr, where
    code = done.returncode
    if code == -signal.SIGTERM and "error: interrupted" in done.stderr:
        code = 130  # each thread is struck once: a second signal came as the outcome of the first was told
    assert code in (130, 0, 3), where
    assert not scene.is_interrupted(), where
    live = scene.live()
    assert live in (scene.old, scene.new), where
    assert unnamed(scene, done.stderr) == [], where
    if live == scene.old:
        assert code == 130, where
        assert "interrupted" in done.stderr, where
        return "old"
    if code == 130:
        assert "it stays" in done.stderr, where
    return "new"


@pytest.mark.parametrize("few", [5, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "many"])
def test_terminated_at_any_call_on_sqlite(tmp_path: Path, strace: str, few: int | None) -> None:
    scene = sqlite_scene(tmp_path)
    calls = counted_calls(scene.project, strace, tmp_path / "calls", "restore", "app", "--yes", alone=True)
    outcomes = {point: terminated(scene, strace, *point) for point in points(calls, few)}
    if few is None:  # a few may all be of one side
        assert set(outcomes.values()) == {"old", "new"}, outcomes


@pytest.mark.parametrize("few", [3, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "many"])
def test_terminated_at_any_call_on_postgresql(cluster: Cluster, tmp_path: Path, strace: str, few: int | None) -> None:
    with fresh_postgresql_scene(tmp_path, cluster) as scene:
        calls = counted_calls(scene.project, strace, tmp_path / "calls", "restore", "app", "--yes", alone=True)
        outcomes = {point: terminated(scene, strace, *point) for point in points(calls, few)}
    if few is None:  # a few may all be of one side
        assert set(outcomes.values()) == {"old", "new"}, outcomes
