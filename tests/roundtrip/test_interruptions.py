"""Killed, interrupted or out of disk at any system call: never a bad archive under a final name, the next run clean.

The calls are those that change something on a disk. `strace` counts them in one whole run and then strikes at the
chosen one; it follows pg_dump too, whose death must be reported and not survived.
"""

import hashlib
import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.state import ProfileState
from tests.projects import Project, damage_of, postgresql_project, sqlite_project
from tests.requirements import requires_program
from tests.servers.postgresql import Cluster

LAST = {"write": 4, "fsync": 4, "link": 2, "unlink": 2, "rename": 1, "mkdir": 1, "rmdir": 1, "ftruncate": 1}
"""The changing calls, and how many of each one's last a sample strikes at: there the archive gets its name."""
CHANGING_CALLS = tuple(LAST)
SEED = 20261122
SAMPLE = 2


def changing_calls(project: Project, strace: str, log: Path, *, logs: bool = True) -> dict[str, list[int]]:
    """For each kind of call, which of a process's calls of that kind change a file of the project's, in a whole run.

    What goes to the terminal is not among them, and without `logs` not what goes into the log of the run, which may
    fail without harm.
    """
    names = "|".join(CHANGING_CALLS)
    done = project.run(
        "apply", "app", before=(strace, "-f", "-y", "-qq", "-e", f"trace={names.replace('|', ',')}", "-o", str(log))
    )
    assert done.returncode == 0, done.stderr
    numbers: Counter[tuple[str, str]] = Counter()
    changing: dict[str, list[int]] = {name: [] for name in CHANGING_CALLS}
    for line in log.read_text("utf-8", "replace").splitlines():
        call = re.match(rf"(\d+) +({names})\((\d+<(.*?)>)?", line)
        if call is None:
            continue
        numbers[call[1], call[2]] += 1
        if not logs and call[4] is not None and call[4].endswith(".log"):
            continue
        if call[4] is None or call[4].startswith((str(project.folder), str(project.out))):
            changing[call[2]].append(numbers[call[1], call[2]])
    assert len(changing["fsync"]) >= 3
    return changing


def points(changing: dict[str, list[int]], sample: int | None) -> list[tuple[str, int]]:
    """Every (call, number), or a seeded sample of each kind of call and all of its last ones, where names are given."""
    if sample is None:
        return [(name, number) for name, numbers in changing.items() for number in numbers]
    chosen = random.Random(SEED)
    last = {(name, number) for name, numbers in changing.items() for number in numbers[-LAST[name] :]}
    return sorted(
        last | {(name, chosen.choice(numbers)) for name, numbers in changing.items() if numbers for _ in range(sample)}
    )


def checksums(paths: list[Path]) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def assert_only_whole_archives(project: Project, earlier: dict[Path, str]) -> None:
    """Every final name is a whole archive, and the earlier ones are untouched."""
    for archive in project.archives():
        assert damage_of(archive) == []
    assert checksums(list(earlier)) == earlier


def assert_next_run_is_clean(project: Project) -> None:
    project.apply()
    assert project.leftovers() == []


def inject(strace: str, call: str, number: int, what: str) -> tuple[str, ...]:
    options = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}")
    return (strace, "-f", "-qq", "-o", "/dev/null", *options)


def strike_everywhere(project: Project, strace: str, log: Path, what: str, sample: int | None) -> list[int]:
    """Run a backup for each point with the blow `what`; check the promise each time. Returns the exit codes."""
    project.apply()
    codes: list[int] = []
    for call, number in points(changing_calls(project, strace, log), sample):
        earlier = checksums(project.archives())
        done = project.run("apply", "app", before=inject(strace, call, number, what))
        codes.append(done.returncode)
        assert_only_whole_archives(project, earlier)
        assert_next_run_is_clean(project)
        for archive in project.archives()[2:]:  # a few are enough to have earlier ones
            archive.unlink()
    return codes


def run_of_kills(project: Project, strace: str, tmp_path: Path, sample: int | None) -> None:
    codes = strike_everywhere(project, strace, tmp_path / "calls", "signal=SIGKILL", sample)
    assert set(codes) <= {-9, 137, 14, 0}
    assert sum(code in (-9, 137) for code in codes) >= 5


@pytest.mark.parametrize("sample", [SAMPLE, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_killed_during_a_sqlite_backup(strace: str, tmp_path: Path, sample: int | None) -> None:
    run_of_kills(sqlite_project(tmp_path / "project", rows=40), strace, tmp_path, sample)


@pytest.mark.parametrize("sample", [SAMPLE, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_killed_during_a_copy_to_another_disk(
    strace: str, tmp_path: Path, other_disk: Path, sample: int | None
) -> None:
    run_of_kills(sqlite_project(tmp_path / "project", out=other_disk / "out", rows=40), strace, tmp_path, sample)


@pytest.mark.parametrize("sample", [SAMPLE, pytest.param(60, marks=pytest.mark.slow)], ids=["sample", "many"])
def test_killed_during_a_postgresql_backup(
    strace: str, tmp_path: Path, cluster: Cluster, pagila: str, sample: int | None
) -> None:
    run_of_kills(postgresql_project(tmp_path / "project", cluster, pagila), strace, tmp_path, sample)


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_interrupted_politely_puts_everything_back(strace: str, tmp_path: Path, signal: str) -> None:
    project = sqlite_project(tmp_path / "project", rows=40)
    project.apply()
    writes = changing_calls(project, strace, tmp_path / "calls")["write"]
    for number in (writes[1], writes[len(writes) // 2]):
        earlier = checksums(project.archives())
        done = project.run("apply", "app", before=inject(strace, "write", number, f"signal={signal}"))
        assert done.returncode == 130, done.stderr
        assert "interrupted" in done.stderr
        assert "Traceback" not in done.stderr
        assert checksums(project.archives()) == earlier
        assert project.leftovers() == []


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failing_disk_is_an_error_and_leaves_nothing(strace: str, tmp_path: Path, call: str, error: str) -> None:
    project = sqlite_project(tmp_path / "project", rows=40)
    project.apply()
    numbers = changing_calls(project, strace, tmp_path / "calls", logs=False)[call]
    failed = 0
    for number in sorted({*numbers[:2], numbers[len(numbers) // 2], *numbers[-4:]}):
        earlier = checksums(project.archives())
        done = project.run("apply", "app", before=inject(strace, call, number, f"error={error}"))
        assert done.returncode in (0, 3, 12, 14), (number, done.stderr)
        assert "Traceback" not in done.stderr
        assert "bug" not in done.stderr
        assert_only_whole_archives(project, earlier)
        assert project.leftovers() == []
        if done.returncode in (12, 14):
            failed += 1
            assert project.archives() == sorted(earlier)
            assert "hint:" in done.stderr
        else:
            project.archives()[-1].unlink()
    assert failed >= 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    requires_program("mount", only="linux")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk here; the injected ENOSPC covers the rest")
    yield small
    subprocess.run(["umount", str(small)], check=True)


def add_large_file(project: Project) -> Path:
    """More than a small disk holds; nothing that deflates, though its type does not say so."""
    large = project.media / "large.pdf"
    large.write_bytes(random.Random(SEED).randbytes(400_000))
    return large


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    project = sqlite_project(tmp_path / "project", out=small_disk / "out", rows=400)
    large = add_large_file(project)
    done = project.run("apply", "app")
    assert done.returncode == 12, done.stderr
    assert "No space left" in done.stderr
    assert (project.archives(), project.leftovers()) == ([], [])
    large.unlink()
    project.apply()


def test_a_full_state_folder_is_an_error_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    project = sqlite_project(tmp_path / "project", rows=400)
    (project.folder / "backup.yml").write_text(f"version: 1\nstate: {small_disk.as_posix()}/state\n", "utf-8")
    add_large_file(project)
    done = project.run("apply", "app")
    assert done.returncode == 14, done.stderr
    assert "No space left" in done.stderr
    assert project.archives() == []
    assert list((small_disk / "state" / "app" / "work").iterdir()) == []


def test_a_second_run_of_the_same_profile_is_refused(tmp_path: Path) -> None:
    project = sqlite_project(tmp_path / "project")
    with ProfileState(project.folder / ".runner", "app").locked():
        second = project.run("apply", "app")
        assert second.returncode == 11
        assert "another run" in second.stderr
        assert project.archives() == []
    project.apply()
