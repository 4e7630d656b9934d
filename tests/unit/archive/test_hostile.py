"""Archives that lie: whatever a manifest or an inventory claims, the reader answers with its own errors alone."""

import contextlib
import hashlib
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.archive import layout
from runner.archive.inventory import InventoryInvalid, encode_line, read_lines
from runner.archive.manifest import decode_manifest
from runner.archive.reader import ArchiveReader
from runner.archive.verify import verify_archive
from runner.errors import ArchiveDamaged, Refused
from runner.model.manifest import InventoryEntry
from tests.unit.archive.test_damage import build_archive

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**70,
    1.5,
    "",
    "x" * 70_000,
    "\x00",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "media/a.txt",
    "manifest.json",
    "files.jsonl",
    "2026-01-08",
    "9999-12-31T23:59:59+14:00",
    [],
    {},
    [[[]]],
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build_archive(tmp_path_factory.mktemp("archive"))


def manifest_of(archive: bytes) -> dict[str, Any]:
    with ArchiveReader(io.BytesIO(archive), "test") as reader:
        content: dict[str, Any] = msgspec.to_builtins(reader.manifest)
    return content


def with_manifest(archive: bytes, manifest: object) -> bytes:
    """The archive with another manifest, anchored as it should be: only what it claims is wrong."""
    ending = layout.parse_ending(archive[-layout.TAIL_LENGTH :])
    assert ending is not None
    content = msgspec.json.format(json.dumps(manifest).encode(), indent=2) + b"\n"
    start = ending.directory_offset - ending.manifest_size
    directory = archive[ending.directory_offset : ending.directory_offset + ending.directory_size]
    claimed = layout.Ending(
        start + len(content), len(directory), ending.members, len(content), hashlib.sha256(content).hexdigest()
    )
    return archive[:start] + content + directory + layout.end_records(claimed)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something stands in a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*path, key))]
    if isinstance(value, list):
        found += [place for index, inner in enumerate(value) for place in places(inner, (*path, index))]
    return found


def replaced(document: dict[str, Any], place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    copy: Any = json.loads(json.dumps(document))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    result: dict[str, Any] = copy
    return result


def accepts(content: bytes) -> bool:
    try:
        with ArchiveReader(io.BytesIO(content), "test") as reader:
            plain, threaded = verify_archive(reader), verify_archive(reader, lanes=3)
            assert plain == threaded
            return plain.intact
    except (ArchiveDamaged, Refused):
        return False


def test_another_manifest_that_says_the_same_is_the_only_one_accepted(archive: bytes) -> None:
    assert with_manifest(archive, manifest_of(archive)) == archive


# Claims that nothing in the archive can contradict; they are not believed for anything that is derived.
FREE_TEXT = {"archive_id", "profile", "instance", "host", "created_at", "runner_version", "root", "variant"}


def test_a_lying_manifest_is_refused_and_never_a_crash(archive: bytes) -> None:
    manifest = manifest_of(archive)
    for place in places(manifest):
        for value in ODD_VALUES:
            changed = replaced(manifest, place, value)
            is_text = place[-1] in FREE_TEXT and isinstance(value, str)
            if json.dumps(changed) != json.dumps(manifest) and not is_text:
                assert not accepts(with_manifest(archive, changed)), (place, value)


@pytest.mark.parametrize("manifest", [None, [], "x", {}, {"format_version": 2}, {"format_version": "1"}, [1] * 100])
def test_a_manifest_that_is_none(archive: bytes, manifest: object) -> None:
    assert not accepts(with_manifest(archive, manifest))


def test_a_manifest_that_is_not_utf_8(archive: bytes) -> None:
    content = json.dumps(manifest_of(archive)).encode().replace(b'"school"', b'"sch\xffol"')
    with pytest.raises(ArchiveDamaged):
        decode_manifest(content, "test")


def line(**changes: object) -> bytes:
    fields = {"path": "a.txt", "type": "file", "mtime_ns": 1, "mode": 0o644, "size": 1, "sha256": "0" * 64}
    return json.dumps({**fields, **changes}).encode() + b"\n"


def test_a_line_that_is_right() -> None:
    assert [entry.path for entry in read_lines(io.BytesIO(line()))] == ["a.txt"]


@pytest.mark.parametrize(
    "content",
    [
        line(path="../a"),
        line(path="/a"),
        line(path="a/../../b"),
        line(path="a\\b"),
        line(path="a//b"),
        line(path="a\nb"),
        line(path=""),
        line(path="."),
        line(path="a\u0000b"),
        line(path="%2e%2e/x", path_b64="Li4veA=="),
        line(path_b64="!!!"),
        line(path_b64="Yi50eHQ="),
        line(size=-1),
        line(size=2**32),
        line(size=2**80),
        line(mode=0o100644),
        line(type="device"),
        line(sha256=None),
        line(method="deflate"),
        line(type="link"),
        line(type="directory"),
        line(unknown=1),
        line()[:-1],
        line() + line(),
        line(path="b") + line(path="a"),
        b"\n",
        b"[]\n",
        b"\xff\n",
        b"x" * (2 << 20),
    ],
)
def test_a_line_that_is_wrong(content: bytes) -> None:
    with pytest.raises(InventoryInvalid):
        list(read_lines(io.BytesIO(content)))


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 120), byte=st.integers(0, 255))
def test_a_changed_line_is_read_or_refused_and_never_a_crash(place: int, byte: int) -> None:
    entry = InventoryEntry(path="é/a.txt", type="file", mtime_ns=-5, mode=0o644, size=3, sha256="0" * 64)
    content = bytearray(encode_line(entry))
    content[place % len(content)] = byte
    with contextlib.suppress(InventoryInvalid):
        list(read_lines(io.BytesIO(bytes(content))))
