"""What is written beneath the staging folder, and that nothing is ever written anywhere else."""

import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import IntegrityError, Refused
from runner.lanes import Stop, Stopped
from runner.media.entries import Incoming, Staged
from runner.media.flushes import flushes_whole
from runner.media.links import leads_out
from runner.media.owners import Owners
from runner.media.staging import TreeWriter, checked_parts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names, links and modes of POSIX systems")

NOON = 1_700_000_000_123_456_789


def file(raw: bytes, content: bytes = b"content", **known: object) -> Incoming:
    known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "mode": 0o640, **known}
    return Incoming(raw, "file", os.fsdecode(raw), chunks=lambda: iter((content,)), **known)  # type: ignore[arg-type]


def folder(raw: bytes, mode: int | None = 0o750) -> Incoming:
    return Incoming(raw, "directory", os.fsdecode(raw), mode=mode, mtime_ns=NOON)


def link(raw: bytes, target: bytes, sha256: str | None = None) -> Incoming:
    return Incoming(raw, "link", os.fsdecode(raw), mode=0o777, mtime_ns=NOON, target=target, sha256=sha256)


@pytest.fixture(params=[1, 3], ids=["plain", "lanes"])
def lanes(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


def write(staged: Path, *entries: Incoming, lanes: int = 3, stop: Stop | None = None) -> Staged:
    staged.mkdir(mode=0o700)
    root = staged.with_name("media")
    with TreeWriter(staged, root, Owners(None), lambda _: None, lanes=lanes, stop=stop) as writer:
        writer.fill(entries)
        return writer.finish()


def listing(top: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below `top`: mode, size, content."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(top))] = (status.st_mode, status.st_size, content)
    return found


def test_modes_times_links_and_odd_names_come_back(tmp_path: Path, lanes: int) -> None:
    names = [b"\xff\xfe", b"two\nlines", "é".encode(), "e\u0301".encode(), b" ", b"-rf", b"C:\\x", b"a" * 255]
    staged = tmp_path / "staged"
    done = write(
        staged,
        folder(b"", 0o751),
        folder(b"empty", 0o500),
        folder(b"closed", 0o555),
        file(b"closed/in", mtime_ns=NOON, mode=0o4400),
        link(b"closed/up", b"../\xff\xfe"),
        link(b"broken", b"nowhere"),
        *(file(name, name * 3) for name in names),
        lanes=lanes,
    )
    assert done == Staged(1 + len(names), 2, 2, 7 + sum(3 * len(name) for name in names))
    assert sorted(os.listdir(os.fsencode(staged))) == sorted([b"empty", b"closed", b"broken", *names])
    for name in names:
        assert (staged / os.fsdecode(name)).read_bytes() == name * 3
    assert [stat.S_IMODE((staged / path).lstat().st_mode) for path in ("", "empty", "closed", "closed/in")] == [
        *(0o751, 0o500, 0o555, 0o4400)
    ]
    for path in ("", "empty", "closed", "closed/in", "closed/up", "broken"):
        assert (staged / path).lstat().st_mtime_ns == NOON
    assert os.fsencode((staged / "closed/up").readlink()) == b"../\xff\xfe"


def test_what_has_no_mode_looks_like_the_folder_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model").chmod(0o2770)
    model = (tmp_path / "model").stat()
    staged = tmp_path / "staged"
    staged.mkdir()
    with TreeWriter(staged, tmp_path / "media", Owners(model), lambda _: None) as writer:
        writer.fill([file(b"deep/er/x", mode=None)])
        writer.finish()
    assert [stat.S_IMODE((staged / path).stat().st_mode) for path in ("", "deep", "deep/er", "deep/er/x")] == [
        *(0o2770, 0o2770, 0o2770, 0o660)
    ]


def test_a_file_of_zeros_takes_no_room_and_is_whole(tmp_path: Path, lanes: int) -> None:
    chunks = [bytes(1 << 20)] * 8 + [b"x" * 70_000 + bytes(1 << 20)] + [bytes(12_345)]
    content = b"".join(chunks)
    entry = Incoming(
        b"sparse", "file", "sparse", size=len(content), sha256=hashlib.sha256(content).hexdigest(),
        chunks=lambda: iter(chunks),
    )  # fmt: skip
    write(tmp_path / "staged", entry, lanes=lanes)
    sparse = tmp_path / "staged" / "sparse"
    assert sparse.read_bytes() == content
    if sys.platform == "linux":
        assert sparse.stat().st_blocks * 512 < 1 << 20


def test_folders_may_come_after_what_is_in_them(tmp_path: Path) -> None:
    write(tmp_path / "staged", file(b"a/b/c"), folder(b"a/b", 0o711), folder(b"a", 0o700), folder(b""))
    assert stat.S_IMODE((tmp_path / "staged/a/b").stat().st_mode) == 0o711


def test_many_small_files_and_a_deep_tree(tmp_path: Path, lanes: int) -> None:
    deep = b"/".join([b"d"] * 300)
    many = (file(b"%d/%d" % (n % 20, n), b"%d" % n) for n in range(2000))
    write(tmp_path / "staged", *many, file(deep), lanes=lanes)
    assert sum(len(files) for _, _, files in os.walk(tmp_path / "staged" / "7")) == 100
    assert (tmp_path / "staged" / os.fsdecode(deep)).read_bytes() == b"content"


def endless() -> Iterator[bytes]:
    """A bomb: it would never end."""
    while True:
        yield bytes(1 << 20)


SHA_OF_OTHER = hashlib.sha256(b"other").hexdigest()
HOSTILE: dict[str, list[Incoming]] = {
    "absolute": [file(b"/etc/evil")],
    "parent": [file(b"../evil")],
    "parent in the middle": [folder(b"a"), file(b"a/../../evil")],
    "parent at the end": [folder(b"a/..")],
    "only parent": [folder(b"..")],
    "dot": [file(b"./evil")],
    "only dot": [folder(b".")],
    "empty part": [file(b"a//evil")],
    "slash at the end": [folder(b"a/")],
    "NUL": [file(b"evil\0.txt")],
    "NUL in a folder": [file(b"a\0b/evil")],
    "a file as root": [file(b"")],
    "a link as root": [link(b"", b"/etc")],
    "endless path": [file(b"/".join([b"a"] * 50_000))],
    "duplicate file": [file(b"a"), file(b"a")],
    "duplicate folder": [folder(b"a"), folder(b"a")],
    "duplicate root": [folder(b""), folder(b"")],
    "duplicate link": [link(b"a", b"b"), link(b"a", b"c")],
    "file, then folder": [file(b"a"), folder(b"a")],
    "folder, then file": [folder(b"a"), file(b"a")],
    "file below a file": [file(b"a"), file(b"a/evil")],
    "folder below a file": [file(b"a"), folder(b"a/b")],
    "link, then file": [link(b"a", b"b"), file(b"a")],
    "link, then file through it": [link(b"a", b".."), file(b"a/evil")],
    "link, then link through it": [link(b"a", b"/etc"), link(b"a/evil", b"b")],
    "link, then folder": [link(b"a", b".."), folder(b"a")],
    "link out by name": [link(b"a", b"/etc/passwd")],
    "link out by dots": [folder(b"b"), link(b"b/a", b"../../evil")],
    "link out through links": [folder(b"b"), link(b"b/up", b".."), link(b"a", b"b/up/../evil")],
    "link out through a link that comes later": [link(b"a", b"z/.."), link(b"z", b".")],
    "link without target": [link(b"a", b"")],
    "link with NUL": [link(b"a", b"b\0c")],
    "link with another target": [link(b"a", b"b", SHA_OF_OTHER)],
    "other content": [file(b"a", sha256=SHA_OF_OTHER)],
    "too long": [file(b"a", size=3)],
    "too short": [file(b"a", size=300)],
    "bomb": [Incoming(b"a", "file", "a", size=1 << 21, chunks=endless)],
    "time out of range": [file(b"a", mtime_ns=1 << 200)],
    "owner out of range": [file(b"a", uid=1 << 40, gid=1 << 40)],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_entries_write_nothing_outside(tmp_path: Path, entries: list[Incoming], lanes: int) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "live").write_bytes(b"live")
    (tmp_path / "evil").write_bytes(b"not touched")
    before = listing(tmp_path)
    with pytest.raises(IntegrityError) as caught:
        write(tmp_path / "staged", *entries, lanes=lanes)
    guilty = [entry.name for entry in entries]
    assert any(str(caught.value.message.fields["member"]) == name[:200] for name in guilty)
    assert caught.value.hint is not None
    outside = {path: found for path, found in listing(tmp_path).items() if not path.startswith("staged")}
    assert outside == before
    assert not Path("/etc/evil").exists()
    assert sum(path.stat().st_size for path in (tmp_path / "staged").rglob("*") if path.is_file()) <= 1 << 21


def slowly(content: bytes) -> Iterator[bytes]:
    time.sleep(0.05)
    yield content


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(file(b"later", sha256=SHA_OF_OTHER), id="content"),
        pytest.param(file(b"../later"), id="name"),
        pytest.param(file(b"ok7"), id="twice"),
        pytest.param(file(b"b" * 256), id="refused"),
    ],
)
def test_of_several_wrong_entries_the_first_one_is_told(tmp_path: Path, later: Incoming, lanes: int) -> None:
    """However long the threads take for it, and whatever they find before."""
    first = Incoming(b"first", "file", "first", size=5, sha256=SHA_OF_OTHER, chunks=lambda: slowly(b"wrong"))
    more = [file(b"more%d" % number) for number in range(200)]
    with pytest.raises(IntegrityError, match="first"):
        write(tmp_path / "staged", *(file(b"ok%d" % n) for n in range(50)), first, later, *more, lanes=lanes)


def test_few_files_are_open_and_few_bytes_are_held(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("open files are counted in /proc")
    before, most = len(os.listdir("/proc/self/fd")), 0

    def chunks() -> Iterator[bytes]:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        yield b"content"

    many = (replace(file(b"%d" % number), chunks=chunks) for number in range(1000))
    write(tmp_path / "staged", *many, lanes=8)
    assert most - before <= 128 + 10
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_ends_soon_when_it_is_told_to(tmp_path: Path, lanes: int) -> None:
    stop, before = Stop(), len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

    def chunks() -> Iterator[bytes]:
        stop.set()
        while True:
            yield b"x" * 10

    with pytest.raises(Stopped):
        write(tmp_path / "staged", file(b"a"), replace(file(b"b", size=1 << 60), chunks=chunks), lanes=lanes, stop=stop)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("whole", [False, True], ids=["each", "whole"])
def test_both_ways_of_flushing_leave_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool) -> None:
    if whole and not flushes_whole(tmp_path):
        pytest.skip("this file system is flushed file by file")
    monkeypatch.setattr("runner.media.flushes.flushes_whole", lambda _: whole)
    staged = tmp_path / "staged"
    write(staged, folder(b"a", 0o700), file(b"a/large", b"x" * 3_000_000), file(b"small"), link(b"b", b"a"))
    assert {path: found[2][:3] for path, found in listing(staged).items()} == {
        "a": b"",
        "b": b"",
        "a/large": b"xxx",
        "small": b"con",
    }


@pytest.mark.parametrize(
    "raw", [b"C:\\evil", b"C:evil", b"a\\..\\..\\evil", b"a:stream", b"\xff", b"a\x1f", b"\\\\host\\x"]
)
def test_windows_reads_more_into_names(raw: bytes) -> None:
    assert checked_parts(file(raw), windows=False) == (raw,)
    with pytest.raises(IntegrityError):
        checked_parts(file(raw), windows=True)


def test_a_link_slipped_in_while_staging_is_not_followed(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (tmp_path / "outside").mkdir()
    with TreeWriter(staged, tmp_path / "media", Owners(None), lambda _: None) as writer:
        writer.fill([folder(b"a"), folder(b"b")])
        (staged / "a").rmdir()
        (staged / "a").symlink_to(tmp_path / "outside")
        with pytest.raises(OSError, match=r"(?i)not a directory|symbolic") as caught:
            writer.fill([file(b"a/evil")])
    assert caught.value.errno in (errno.ENOTDIR, errno.ELOOP)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_name_that_the_file_system_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot hold"):
        write(tmp_path / "staged", file(b"a" * 256))
    with pytest.raises(Refused, match="too long"):
        write(tmp_path / "second", file(b"/".join([b"a" * 203] * 20)))


@pytest.mark.parametrize(
    ("target", "out"),
    [
        *(("inside", False), ("../media/inside", False), (".", False), ("a", False), ("deep/../..", True)),
        *(("/", True), ("../mediax", True), ("../../etc", True), ("deep/../../media/x", False), ("{root}/x", False)),
        *(("{root}", False), ("{root}/../x", True), ("{alias}/x", False), ("{alias}/../x", True), ("circle/..", False)),
    ],
)
def test_where_a_link_would_lead(tmp_path: Path, target: str, *, out: bool) -> None:
    root = tmp_path / "media"
    root.mkdir()
    (tmp_path / "alias").symlink_to(root)
    target = target.format(root=root, alias=tmp_path / "alias")
    assert leads_out("a", {"a": target, "circle": "ring", "ring": "circle"}, root) is out


def test_owners_come_back_by_name_first(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    staged = tmp_path / "staged"
    write(staged, file(b"named", owner="nobody", uid=1), file(b"numbered", owner="no such user", uid=12345, gid=54321))
    assert (staged / "named").stat().st_uid == 65534
    assert ((staged / "numbered").stat().st_uid, (staged / "numbered").stat().st_gid) == (12345, 54321)


def test_no_program_runs_as_whoever_restored_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recorded owner is refused, the set-user-ID bit would mean another user than it did."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    staged = tmp_path / "staged"
    write(staged, file(b"theirs", mode=0o6755, uid=12345, gid=54321), file(b"ours", mode=0o4755, uid=os.geteuid()))
    assert (staged / "theirs").stat().st_mode & 0o7777 == 0o755
    assert (staged / "ours").stat().st_mode & 0o7777 == 0o4755
