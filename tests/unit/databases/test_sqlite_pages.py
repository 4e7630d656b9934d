"""Which state a file holds, told from its pages."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.databases.sqlite.pages import Likeness, compare_pages, page_size

SIZE = 512


def file(folder: Path, name: str, pages: Sequence[str], counter: int = 0) -> Path:
    """Each letter is a page; the first page is a header with counters in it."""
    header = bytearray(SIZE)
    header[16:18] = SIZE.to_bytes(2, "big")
    for start, end in ((18, 20), (24, 32), (40, 44), (92, 100)):
        header[start:end] = bytes([counter]) * (end - start)
    path = folder / name
    path.write_bytes(bytes(header) + b"".join(page.encode() * SIZE for page in pages))
    return path


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ("abc", Likeness(is_old=True, is_new=False, like_old=2, like_new=0, pages=4)),
        ("axy", Likeness(is_old=False, is_new=True, like_old=0, like_new=2, pages=4)),
        ("abz", Likeness(is_old=False, is_new=False, like_old=1, like_new=0, pages=4)),
        ("axz", Likeness(is_old=False, is_new=False, like_old=0, like_new=1, pages=4)),
        ("aby", Likeness(is_old=False, is_new=False, like_old=1, like_new=1, pages=4)),
        ("a", Likeness(is_old=False, is_new=False, like_old=0, like_new=0, pages=4)),
        ("abcd", Likeness(is_old=False, is_new=False, like_old=2, like_new=0, pages=4)),
    ],
)
def test_pages_in_which_the_two_differ(tmp_path: Path, live: str, expected: Likeness) -> None:
    old, new = file(tmp_path, "old", "abc", 1), file(tmp_path, "new", "axy", 2)
    assert compare_pages(file(tmp_path, "live", live, 3), old, new) == expected


def test_without_an_old_file(tmp_path: Path) -> None:
    new = file(tmp_path, "new", "axy", 2)
    found = compare_pages(file(tmp_path, "live", "axz", 3), None, new)
    assert found == Likeness(is_old=False, is_new=False, like_old=0, like_new=3, pages=4)


def test_the_largest_page_size_is_written_as_one(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(16) + b"\0\1" + bytes(80))
    assert page_size(path) == 65536
