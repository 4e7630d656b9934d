"""What `runner.destinations.base` promises, held against every kind of destination."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from runner.destinations.base import Destination, numbered
from runner.destinations.local import LocalFolder
from runner.destinations.memory import MemoryDestination
from runner.errors import ArchiveDamaged, ArchiveUnknown
from runner.messages import msg
from runner.model.profile import LocalDestination
from tests.requirements import folder_on_another_disk, requires_program

CONTENT = secrets.token_bytes(300_000)


def same_disk(tmp_path: Path) -> Iterator[Destination]:
    (tmp_path / "out").mkdir()
    yield LocalFolder(LocalDestination(tmp_path / "out"))


def other_disk(tmp_path: Path) -> Iterator[Destination]:
    with folder_on_another_disk(tmp_path) as folder:
        yield LocalFolder(LocalDestination(folder))


def other_mount(tmp_path: Path) -> Iterator[Destination]:
    """The same file system seen at a second place, as volumes of one container are: it links nothing between them."""
    requires_program("mount", only="linux")
    (tmp_path / "real").mkdir()
    (tmp_path / "out").mkdir()
    mounted = subprocess.run(
        ["mount", "--bind", str(tmp_path / "real"), str(tmp_path / "out")], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount here")
    yield LocalFolder(LocalDestination(tmp_path / "out"))
    subprocess.run(["umount", str(tmp_path / "out")], check=True)


def memory(tmp_path: Path) -> Iterator[Destination]:
    yield MemoryDestination()


@pytest.fixture(params=[same_disk, other_disk, other_mount, memory], ids=lambda kind: kind.__name__)
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    make: Callable[[Path], Iterator[Destination]] = request.param
    yield from make(tmp_path)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    work = tmp_path / "work" / "run-1"
    work.mkdir(parents=True)
    (work / "archive.zip").write_bytes(CONTENT)
    return work / "archive.zip"


class Partials:
    """The temporary files that a destination told of, each of them not there yet when it did."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def __call__(self, path: Path) -> None:
        assert not os.path.lexists(path)
        self.paths.append(path)


def read(destination: Destination, name: str) -> bytes:
    with destination.open(name) as file:
        return file.read()


def test_a_reachable_place_checks_out(destination: Destination) -> None:
    destination.check()
    assert destination.names() == frozenset()
    assert destination.list() == []
    assert destination.label


def test_what_is_put_is_there_byte_for_byte(destination: Destination, sealed: Path) -> None:
    partials = Partials()
    assert destination.put(sealed, "a.zip", None, partials) == "a.zip"
    assert read(destination, "a.zip") == CONTENT
    assert destination.names() == {"a.zip"}
    assert [(stored.name, stored.size_bytes) for stored in destination.list()] == [("a.zip", len(CONTENT))]
    assert "a.zip" in destination.locate("a.zip")
    assert not any(path.exists() for path in partials.paths)


def test_the_source_stays_for_the_next_destination(destination: Destination, sealed: Path) -> None:
    destination.put(sealed, "a.zip", None, Partials())
    assert sealed.read_bytes() == CONTENT
    assert [path.name for path in sealed.parent.iterdir()] == ["archive.zip"]


def test_a_stream_can_seek(destination: Destination, sealed: Path) -> None:
    destination.put(sealed, "a.zip", None, Partials())
    with destination.open("a.zip") as file:
        assert file.seek(-7, os.SEEK_END) == len(CONTENT) - 7
        assert file.read() == CONTENT[-7:]
        file.seek(100)
        assert file.read(5) == CONTENT[100:105]


def test_a_taken_name_is_never_replaced(destination: Destination, sealed: Path) -> None:
    names = []
    for number in range(4):
        sealed.write_bytes(str(number).encode())
        names.append(destination.put(sealed, "a.zip", None, Partials()))
        sealed.unlink()  # where the archive is a second name of these bytes, writing would go through to it
    assert names == ["a.zip", "a-2.zip", "a-3.zip", "a-4.zip"]
    assert [read(destination, name) for name in names] == [b"0", b"1", b"2", b"3"]


def test_it_is_verified_before_it_has_a_name(destination: Destination, sealed: Path) -> None:
    seen: list[bytes] = []

    def verify(file: BinaryIO) -> None:
        assert destination.names() <= {path.name for path in partials.paths}
        seen.append(file.read())

    partials = Partials()
    destination.put(sealed, "a.zip", verify, partials)
    assert set(seen) == {CONTENT}


def test_what_does_not_verify_gets_no_name(destination: Destination, sealed: Path) -> None:
    def verify(_file: BinaryIO) -> None:
        raise ArchiveDamaged(msg("one bit fell over"))

    partials = Partials()
    with pytest.raises(ArchiveDamaged):
        destination.put(sealed, "a.zip", verify, partials)
    assert destination.list() == []
    assert destination.names() <= {path.name for path in partials.paths}
    assert sealed.read_bytes() == CONTENT


def test_a_failed_attempt_does_not_spoil_the_next(destination: Destination, sealed: Path) -> None:
    test_what_does_not_verify_gets_no_name(destination, sealed)
    assert destination.put(sealed, "a.zip", lambda _file: None, lambda _path: None) == "a.zip"
    assert read(destination, "a.zip") == CONTENT


def test_names_of_every_kind(destination: Destination, sealed: Path) -> None:
    for name in ("école 2026.zip", "a'b$c.zip", "-.zip", "no-suffix", "x" * 180 + ".zip"):
        assert destination.put(sealed, name, None, Partials()) == name
        assert read(destination, name) == CONTENT


def test_an_archive_that_is_not_there(destination: Destination) -> None:
    with pytest.raises(ArchiveUnknown, match=r"nothing\.zip"):
        destination.open("nothing.zip")


def test_only_zips_are_listed_and_all_names_are_taken(destination: Destination, sealed: Path) -> None:
    destination.put(sealed, "a.zip", None, Partials())
    destination.put(sealed, "notes.txt", None, Partials())
    assert [stored.name for stored in destination.list()] == ["a.zip"]
    assert destination.names() == {"a.zip", "notes.txt"}


@pytest.mark.parametrize(
    ("taken", "given"),
    [
        ((), "a_20260108.zip"),
        (("a_20260108.zip",), "a_20260108-2.zip"),
        (("a_20260108.zip", "a_20260108-2.zip"), "a_20260108-3.zip"),
        (("a_20260108.zip", "a_20260108-3.zip"), "a_20260108-2.zip"),
        (("a_20260108-2.zip",), "a_20260108.zip"),
    ],
)
def test_numbers_of_taken_names(taken: tuple[str, ...], given: str) -> None:
    assert numbered("a_20260108.zip", frozenset(taken)) == given
