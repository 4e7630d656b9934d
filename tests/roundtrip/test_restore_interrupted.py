"""A restore that is asked to stop, or whose disk fails: all put back before the swap, whole after it."""

from pathlib import Path

import pytest

from tests.restores import Scene, assert_whole_after_recovery, counted_calls, strike

RESTORE = ("restore", "app", "--yes")


def test_an_interruption_is_the_old_state_or_the_new_and_leaves_nothing(
    scene: Scene, strace: str, tmp_path: Path
) -> None:
    calls = counted_calls(scene.project, strace, tmp_path / "calls", *RESTORE)["fsync"]
    outcomes: set[str] = set()
    for number in (calls[4], calls[len(calls) // 2], *calls[-14::3]):
        scene.reset()
        done = strike(scene.project, strace, "fsync", number, *RESTORE, what="signal=SIGINT")
        assert done.returncode == 130, (number, done.stderr)
        assert "Traceback" not in done.stderr
        live = scene.live()
        assert live in (scene.old, scene.new), number
        assert scene.leftovers() == [], number
        told = "it stays" if live == scene.new else "put back"
        assert told in done.stderr, (number, done.stderr)
        outcomes.add(told)
    assert len(outcomes) == 2


@pytest.mark.parametrize(("call", "error"), [("write", "ENOSPC"), ("fsync", "EIO")])
def test_a_failing_disk_never_makes_a_mix(scene: Scene, strace: str, tmp_path: Path, call: str, error: str) -> None:
    numbers = counted_calls(scene.project, strace, tmp_path / "calls", *RESTORE, alone=True)[call]
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
