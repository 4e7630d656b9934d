"""The quick tests of an entry accept nothing that the thorough ones refuse, and change nothing that is read."""

import io
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.archive import inventory, layout
from runner.archive.inventory import InventoryInvalid, encode_line, read_lines, read_named
from runner.model.manifest import InventoryEntry

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PIECES = st.one_of(
    st.sampled_from(
        ["a", "é", "e\u0301", "reçus", ".", "..", "/", "//", "\\", "%", "%41", "%zz", " ", "\n", "\x7f", "\x85", "\xad"]
    ),
    st.sampled_from(
        ["\u2028", "\u200f", "\ue000", "\u0378", "\U0010ffff", "😀", "NUL", "a.b", ".a", "a.", "x" * 300, ""]
    ),
)
PATHS = st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=20))
SIZES = st.sampled_from([0, 1, 5, -1, 2**32 - 2, 2**32 - 1, 2**62, 2**62 + 1])
HASHES = st.sampled_from([None, "0" * 64, ""])
ENTRIES = st.builds(
    InventoryEntry,
    path=PATHS,
    type=st.sampled_from(["file", "file", "directory", "link"]),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    mode=st.sampled_from([0, 0o644, 0o7777, 0o10000, -1]),
    size=SIZES,
    sha256=HASHES,
    method=st.sampled_from(["store", "deflate"]),
    size_stored=st.one_of(st.none(), SIZES),
    sha256_stored=HASHES,
    zip64=st.sampled_from([False, False, True]),
    path_b64=st.sampled_from([None, None, "YQ==", "!"]),
    target=st.sampled_from([None, None, "there", ""]),
    target_b64=st.sampled_from([None, None, "YQ==", "!"]),
)


@settings(max_examples=3000, deadline=None)
@given(entry=ENTRIES)
@example(entry=InventoryEntry(path="x" * 60_000, type="file", mtime_ns=0, mode=0, sha256=""))
@example(entry=InventoryEntry(path="é" * 30_000, type="file", mtime_ns=0, mode=0, sha256=""))
@example(entry=InventoryEntry(path="a/.b", type="file", mtime_ns=0, mode=0, sha256=""))
@example(entry=InventoryEntry(path="a", type="file", mtime_ns=0, mode=0, sha256=""))
def test_what_is_quickly_accepted_is_right(entry: InventoryEntry) -> None:
    if inventory._is_plain(entry):
        assert inventory._checked_key(entry, 1) == entry.path.encode("utf-8")


def test_ordinary_entries_are_quickly_accepted() -> None:
    """A hypothesis that nothing fulfils proves nothing."""
    for path in ("a", "reçus/2026/Amélie Traoré.pdf", "e\u0301/😀.jpg", "a..b/c...d"):
        entry = InventoryEntry(path=path, type="file", mtime_ns=0, mode=0o644, size=1, sha256="0" * 64)
        assert inventory._is_plain(entry)
        deflated = {"method": "deflate", "size_stored": 1, "sha256_stored": "0" * 64}
        assert inventory._is_plain(msgspec.structs.replace(entry, **deflated))
        assert inventory._is_plain(InventoryEntry(path=path, type="directory", mtime_ns=0, mode=0o755))


def outcome(content: bytes) -> tuple[list[tuple[InventoryEntry, bytes]], str | None]:
    found: list[tuple[InventoryEntry, bytes]] = []
    try:
        found.extend(read_named(io.BytesIO(content)))
    except InventoryInvalid as error:
        return found, str(error)
    return found, None


FOLDER_PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "a-b", "é", "a%20"]), min_size=1, max_size=4).map("/".join), max_size=8
)


@settings(max_examples=500, deadline=None)
@given(paths=FOLDER_PATHS, kinds=st.lists(st.booleans(), min_size=8, max_size=8), ordered=st.booleans())
def test_a_whole_inventory_reads_alike_by_the_thorough_tests_alone(
    paths: list[str], kinds: list[bool], ordered: bool
) -> None:
    entries = [
        InventoryEntry(path=path, type="directory", mtime_ns=0, mode=0o755)
        if is_folder
        else InventoryEntry(path=path, type="file", mtime_ns=0, mode=0o644, sha256="0" * 64)
        for path, is_folder in zip(paths, kinds, strict=False)
    ]
    if ordered:
        entries.sort(key=lambda entry: entry.path.encode() + (b"/" if entry.type == "directory" else b""))
    content = b"".join(map(encode_line, entries))
    quick = outcome(content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inventory, "_is_plain", never)
        assert outcome(content) == quick
    assert [name for _, name in quick[0]] == [inventory.member_name(entry).encode() for entry, _ in quick[0]]


def never(_: InventoryEntry) -> bool:
    return False


def entry_line(**changes: Any) -> bytes:
    fields = {"path": "a", "type": "file", "mtime_ns": 1, "mode": 0o644, "sha256": "0" * 64, **changes}
    return encode_line(InventoryEntry(**fields))


@pytest.mark.parametrize("block", [1, 2, 100, 64 << 10])
def test_lines_are_found_wherever_a_block_ends(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_BLOCK_BYTES", block)
    names = [f"{number:03}é" for number in range(20)]
    content = b"".join(entry_line(path=name) for name in names)
    assert [entry.path for entry in read_lines(io.BytesIO(content))] == names
    found, reason = outcome(content[:-1])
    assert [entry.path for entry, _ in found] == names[:-1]
    assert reason == "line 20: cut short or too long"


@pytest.mark.parametrize("before", [0, 1, 700])
@pytest.mark.parametrize(("length", "accepted"), [((1 << 20) - 1, True), (1 << 20, True), ((1 << 20) + 1, False)])
def test_a_line_has_a_length_that_it_may_have(before: int, length: int, accepted: bool) -> None:
    first = b"".join(entry_line(path=f"A{number:03}") for number in range(before))
    line = entry_line(path="b")
    padded = line[:-1] + b" " * (length - len(line)) + b"\n"
    assert len(padded) == length
    for behind in (b"", entry_line(path="c")):
        found, reason = outcome(first + padded + behind)
        if accepted:
            assert (len(found), reason) == (before + 1 + bool(behind), None)
        else:
            assert (len(found), reason) == (before, f"line {before + 1}: cut short or too long")


def test_a_line_without_an_end_is_not_held_in_memory() -> None:
    class Endless(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            self.given += size
            return b"x" * size

    file = Endless()
    with pytest.raises(InventoryInvalid, match="line 1: cut short or too long"):
        list(read_lines(file))
    assert file.given <= 2 << 20


@settings(max_examples=1000, deadline=None)
@given(
    mtime_ns=st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-63_000_000_000, 254_000_000_000).map(lambda seconds: seconds * 10**9),
        st.sampled_from([0, -1, 315_532_799 * 10**9, 315_532_800 * 10**9, 4_354_819_200 * 10**9, 2**31 * 10**9]),
    ),
    offset=st.one_of(st.integers(-86_399, 86_399), st.sampled_from([0, 3600, -3600])),
)
def test_stamps_are_those_of_the_times(mtime_ns: int, offset: int) -> None:
    zone = timezone(timedelta(seconds=offset))
    try:
        moment = (EPOCH + timedelta(seconds=mtime_ns // 10**9)).astimezone(zone)
    except OverflowError:
        moment = EPOCH.astimezone(zone)
    assert layout.media_stamp(mtime_ns, offset) == layout.moment_stamp(moment)
