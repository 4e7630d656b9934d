"""A media root, a restore of it, and what a killed process of the tests runs: `python restoring.py ROOT STEP WAY`."""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from runner.media.entries import Incoming
from runner.media.exchange import exchange_folders
from runner.media.restoration import MediaRestoration
from runner.model.marks import MediaMarks, RunNames

RUN = RunNames("20260108_110353-0123abcd")
EXCLUDE = ("cache", "*.tmp", "deep/*/skipped")
OLD_TIME = 1_600_000_000_000_000_000
NEW_TIME = 1_700_000_000_123_456_789


def fill_old(root: Path) -> None:
    """An old tree, with something of each kind and something that is excluded."""
    for folder in ("receipts/2024", "cache/deep", "deep/a/skipped", "gone", "empty"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(("receipts/one", "receipts/2024/two", "cache/c", "cache/deep/d", "deep/a/skipped/s")):
        (root / name).write_text(f"old {number}")
    for name in ("x.tmp", "gone/y.tmp", "gone/file"):
        (root / name).write_text(f"old {name}")
    (root / "link").symlink_to("receipts/one")
    (root / "gone").chmod(0o750)
    root.chmod(0o751)
    for path in (*sorted(root.rglob("*"), reverse=True), root):
        os.utime(path, ns=(OLD_TIME, OLD_TIME), follow_symlinks=False)


def incoming() -> list[Incoming]:
    """A new tree."""

    def file(path: str, content: bytes) -> Incoming:
        digest = hashlib.sha256(content).hexdigest()
        raw = os.fsencode(path)
        return Incoming(
            raw, "file", path, 0o640, NEW_TIME, size=len(content), sha256=digest, chunks=lambda: iter((content,))
        )

    def folder(path: str, mode: int) -> Incoming:
        return Incoming(os.fsencode(path), "directory", path or "media/", mode, NEW_TIME)

    return [
        folder("", 0o755),
        folder("receipts", 0o700),
        file("receipts/one", b"new one"),
        file("receipts/three", b"new three"),
        folder("deep", 0o711),
        file("new\nname", b"new"),
        Incoming(b"link", "link", "link", 0o777, NEW_TIME, target=b"receipts/three"),
    ]


def picture(root: Path, *, times: bool = True) -> dict[str, tuple[object, ...]]:
    """All that a tree is."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *sorted(root.rglob("*"))):
        status = path.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fspath(path.readlink())
        changed = status.st_mtime_ns if times else None
        found[str(path.relative_to(root))] = (oct(status.st_mode), changed, content)
    return found


def no_exchange(_first: Path, _second: Path) -> bool:
    return False


def noting(path: Path) -> Callable[[MediaMarks], None]:
    def note(marks: MediaMarks) -> None:
        path.write_bytes(msgspec.json.encode(marks))

    return note


def restoration(root: Path, journal: Path, *, exchange: bool = True) -> MediaRestoration:
    """From the journalled marks alone, as another process makes it."""
    marks = msgspec.json.decode(journal.read_bytes(), type=MediaMarks) if journal.exists() else None
    return MediaRestoration(root, RUN, marks, exchange=exchange_folders if exchange else no_exchange)


def act(root: Path, journal: Path, kept: Path, step: str, *, exchange: bool = True) -> None:
    """One step of a restore."""
    media = restoration(root, journal, exchange=exchange)
    note = noting(journal)
    match step:
        case "stage":
            media.stage(incoming(), note, lambda _: None)
        case "swap":
            media.swap(note)
        case "carry":
            assert media.carry(EXCLUDE)
        case "keep":
            assert media.keep(kept, note, lambda _: None) == kept
        case "let_go":
            media.let_go(note)
        case "swap_back":
            media.swap_back(note)
        case "discard":
            media.discard()
        case _:
            raise AssertionError(step)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    act(
        Path(arguments["root"]),
        Path(arguments["journal"]),
        Path(arguments["kept"]),
        arguments["step"],
        exchange=arguments["exchange"],
    )
