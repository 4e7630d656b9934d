"""The swap of a SQLite database, killed at any system call that changes the disk: wholly old or wholly new, and known.

`strace` counts the calls of one whole swap and then kills another one at the chosen call.
"""

import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from runner.model.marks import Side
from tests.sqlite_restores import MODES, NAMES, Restore, connect, content, make_database, make_restore

CHECKOUT = Path(__file__).resolve().parents[2]
CALLS = ("pwrite64", "write", "fsync", "fdatasync", "ftruncate", "unlink", "rename", "link")
SEED = 20261122
SAMPLE = 12
NO_COPY = ", no copy"
KINDS = (*MODES, f"delete{NO_COPY}", f"wal{NO_COPY}", "missing", "unreadable")


def staged_restore(folder: Path, kind: str) -> Restore:
    """A restore that only has to swap. In WAL mode a log with committed frames lies beside the live file."""
    restore = make_restore(folder, keep=not kind.endswith(NO_COPY))
    kind = kind.removesuffix(NO_COPY)
    make_database(restore.dump, "new", 120, "PRAGMA user_version = 7")
    if kind == "unreadable":
        restore.live.write_bytes(b"no database" * 4000)
    elif kind != "missing":
        make_database(restore.live, "old", 60, mode=kind)
        with closing(connect(restore.live, kind)) as application:
            application.execute("PRAGMA wal_autocheckpoint = 0")
            application.execute("INSERT INTO word (text) VALUES ('last')")
            beside = [path for path in restore.disk.iterdir() if path != restore.live]
            for path in beside:
                shutil.copy(path, folder / path.name)
        for path in beside:
            if not path.exists() and not path.name.endswith("-shm"):
                shutil.copy(folder / path.name, path)
    restore.stage()
    return restore


def run(restore: Restore, what: str, *before: str) -> int:
    command = [*before, sys.executable, "-m", "tests.sqlite_restores", what, str(restore.folder)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False).returncode


def points(restore: Restore, what: str, strace: str, sample: int | None) -> list[tuple[str, int]]:
    """(call, number) of those calls of a whole run that change something in the restore's folder."""
    log = restore.folder.with_suffix(".calls")
    assert run(restore, what, strace, "-f", "-y", "-qq", "-e", f"trace={','.join(CALLS)}", "-o", str(log)) == 0
    numbers: Counter[str] = Counter()
    changing: list[tuple[str, int]] = []
    for line in log.read_text("utf-8", "replace").splitlines():
        call = re.match(rf"\d+ +({'|'.join(CALLS)})\(", line)
        if call is not None:
            numbers[call[1]] += 1
            if str(restore.folder) in line:
                changing.append((call[1], numbers[call[1]]))
    assert {name for name, _ in changing} >= {"fsync"}
    assert len(changing) >= 5
    if sample is None or sample >= len(changing):
        return changing
    chosen = random.Random(SEED)
    last = changing[-3:]
    return [*chosen.sample(changing[:-3], sample - len(last)), *last]


def kill(restore: Restore, what: str, strace: str, call: str, number: int) -> None:
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
    assert run(restore, what, strace, "-f", "-qq", "-o", "/dev/null", *inject) in (-9, 137), (call, number)


def old_state(restore: Restore, kind: str) -> object:
    if kind == "missing":
        return restore.live.exists()
    return restore.live.read_bytes() if kind == "unreadable" else content(restore.live)


def assert_old(restore: Restore, kind: str, old: object) -> None:
    if kind == "unreadable" and not restore.live.exists():
        assert NAMES.replaced(restore.live).read_bytes() == old  # in the moment between its two names
    else:
        assert old_state(restore, kind) == old


@pytest.mark.parametrize("sample", [SAMPLE, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_during_the_swap(tmp_path: Path, strace: str, kind: str, sample: int | None) -> None:
    if sample is not None and (kind in ("truncate", "persist") or kind.endswith(NO_COPY)):
        sample = 6  # what these add to `delete` and `wal` is little
    whole = staged_restore(tmp_path / "whole", kind)
    new, old = content(whole.dump), old_state(whole, kind)
    sides: Counter[Side] = Counter()
    for turn, (call, number) in enumerate(points(whole, "swap", strace, sample)):
        restore = staged_restore(tmp_path / f"{turn}", kind)
        kill(restore, "swap", strace, call, number)
        side = restore.open().side()
        sides[side] += 1
        assert side in (Side.OLD, Side.NEW), (call, number)
        if side is Side.NEW:
            assert content(restore.live) == new, (call, number)
        else:
            assert_old(restore, kind, old)
        assert restore.open().side() is side
        finish(restore, kind, old, forward=side is Side.NEW or turn % 2 == 0)
        shutil.rmtree(restore.folder)
    assert sides[Side.OLD] >= 1
    assert sides[Side.NEW] >= 1 or kind == "unreadable" or sample == 6


@pytest.mark.parametrize("sample", [8, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "all"])
@pytest.mark.parametrize("kind", ["delete", "wal", "unreadable"])
def test_killed_on_the_way_back(tmp_path: Path, strace: str, kind: str, sample: int | None) -> None:
    whole = staged_restore(tmp_path / "whole", kind)
    old, new = old_state(whole, kind), content(whole.dump)
    whole.open().swap(whole.note, None)
    for turn, (call, number) in enumerate(points(whole, "swap-back", strace, sample)):
        restore = staged_restore(tmp_path / f"{turn}", kind)
        restore.open().swap(restore.note, None)
        kill(restore, "swap-back", strace, call, number)
        side = restore.open().side()
        if side is Side.NEW:
            assert content(restore.live) == new, (call, number)
        else:
            assert side is Side.OLD
            if restore.live.exists():
                assert_old(restore, kind, old)
        restore.open().swap_back(restore.note)
        assert restore.open().side() is Side.OLD
        restore.open().discard(restore.note)
        assert restore.open().side() is Side.OLD
        assert_old(restore, kind, old)
        assert restore.strangers() == []
        shutil.rmtree(restore.folder)


def finish(restore: Restore, kind: str, old: object, *, forward: bool) -> None:
    """Go on as recovery does, by another process's object; each step twice."""
    if not forward:
        restore.open().discard(restore.note)
        restore.open().discard(restore.note)
        assert restore.open().side() is Side.OLD
        assert old_state(restore, kind) == old
        assert restore.strangers() == []
        return
    restore.open().swap(restore.note, None)
    restore.open().swap(restore.note, None)
    restore.open().let_go(restore.note)
    restore.open().let_go(restore.note)
    assert restore.open().side() is Side.NEW
    assert content(restore.live) == content(restore.dump)
    assert restore.strangers() == []
    if restore.kept is None:
        assert list((restore.folder / "backups_local").iterdir()) == []
        return
    if kind == "unreadable":
        assert restore.kept.read_bytes() == old
    elif kind != "missing":
        assert content(restore.kept) == old
    kept = [path.name for path in restore.kept.parent.iterdir()]
    assert kept == ([] if kind == "missing" else [restore.kept.name])
