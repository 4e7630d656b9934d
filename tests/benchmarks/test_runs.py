"""The benchmarks at work, on the smallest school: commands are measured, restores are compared."""

import os
import platform
import shlex
import sys
from pathlib import Path

import pytest

from benchmarks import limits
from benchmarks.comparison import Settings, compare
from benchmarks.measure import CommandFailed, Scene
from benchmarks.results import AGAIN, CHANGED, FIRST, LIMIT, RESTORE, RIGHT, VERIFY
from benchmarks.source import differences, make_source, running_server
from benchmarks.tools import NAIVE, OURS_LEAN
from tests.requirements import requires_program

SCALE = 0.005
MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def programs() -> None:
    if platform.system() != "Linux":
        pytest.skip("the benchmarks measure on Linux only")
    for name in ("time", "bash", "unzip", "openssl"):
        requires_program(name)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, os.environ, os.getpid())


def test_a_comparison_runs_to_its_end_and_every_restore_is_right(tmp_path: Path) -> None:
    found = compare([OURS_LEAN, NAIVE], Settings(tmp_path, SCALE, 1, "make bench"))
    assert {run.verdict for run in found.runs if run.operation == RESTORE} == {RIGHT}
    for tool, operations in (
        (OURS_LEAN, [FIRST, AGAIN, CHANGED, VERIFY, RESTORE]),
        (NAIVE, [FIRST, AGAIN, CHANGED, RESTORE]),
    ):
        assert [run.operation for run in found.runs if run.title == tool.title] == operations
        assert all(found.median(tool.title, operation) for operation in operations)
    assert len([run for run in found.runs if run.operation == LIMIT]) == len(limits.LIMITS)
    assert found.data.files > 90
    assert found.data.rows > 30_000
    assert not (tmp_path / "work").exists()


def test_what_is_missing_or_changed_is_told(tmp_path: Path) -> None:
    with running_server() as cluster:
        source = make_source(cluster, tmp_path, tmp_path / "work", SCALE)
        source.reset()
        source.change()
        before = source.fingerprint()
        assert before == source.fingerprint()
        source.spoil()
        cluster.sql("school", "DROP INDEX audit_at; UPDATE school_course SET title = 'SVT' WHERE id = 1")
        told = differences(before, source.fingerprint())
        assert told == ["file reçus/nouveau/reçu_0.pdf", "index audit_at", "table school_course", "table school_grade"]
        source.wipe()
        assert len(differences(before, source.fingerprint())) == len(before)


def test_a_command_that_fails_is_no_measurement(scene: Scene) -> None:
    with pytest.raises(CommandFailed, match="exit code 3: said"):
        scene.measure("echo said\n(exit 3)\ntrue")
    with pytest.raises(CommandFailed):
        scene.measure("false | true")


def test_what_stays_is_told_from_what_was_there_for_a_while(scene: Scene) -> None:
    cost = scene.measure(
        f"head -c {MEGABYTE} /dev/zero > stays; head -c {4 * MEGABYTE} /dev/zero > goes; sleep 1; rm goes"
    )
    assert cost.added_bytes == pytest.approx(MEGABYTE, rel=0.1)
    assert cost.temporary_bytes == pytest.approx(4 * MEGABYTE, rel=0.1)
    assert cost.wall_seconds > 1


def test_a_file_without_a_name_is_temporary_disk_too(scene: Scene) -> None:
    cost = scene.measure(f"exec 3> unnamed; rm unnamed; head -c {4 * MEGABYTE} /dev/zero >&3; sleep 1")
    assert cost.added_bytes == 0
    assert cost.temporary_bytes == pytest.approx(4 * MEGABYTE, rel=0.1)


def test_memory_and_time_of_children_count(scene: Scene) -> None:
    child = f"{shlex.quote(sys.executable)} -c 'len(bytes([1]) * 100 * {MEGABYTE}); [n * n for n in range(2_000_000)]'"
    cost = scene.measure(f"({child}) | cat")
    assert 100 * MEGABYTE < cost.memory_bytes < 250 * MEGABYTE
    assert cost.cpu_seconds > 0.02
