"""Which of two states a database file holds, told page by page, with nothing of ours inside it.

What SQLite itself changes in the first page when it copies a database or commits is no content: the format versions of
the journal mode, the change counter, the size, the schema version and the version that the counter is valid for
(https://www.sqlite.org/fileformat.html, section 1.3).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_COUNTERS = ((18, 20), (24, 32), (40, 44), (92, 100))
_PENDING_BYTE = 1 << 30
_LARGEST_PAGE = 1 << 16


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a file compares with an older and a newer one.

    `is_old`, `is_new`: it is the same, page by page. `like_old`, `like_new`: of the pages in which the two differ, how
    many are as in the one. `pages`: how many the newer one has.
    """

    is_old: bool
    is_new: bool
    like_old: int
    like_new: int
    pages: int


def page_size(path: Path) -> int:
    """From the header. 0: the file has none."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(18)[16:18], "big")
    return _LARGEST_PAGE if size == 1 else size


def compare_pages(live: Path, old: Path | None, new: Path) -> Likeness:
    """Compare a file (a copy that nobody writes to) with its two possible states. `old` None: that one is not there.

    Raises OSError.
    """
    size = page_size(live)
    is_old, is_new, like_old, like_new = old is not None, True, 0, 0
    with live.open("rb") as live_file, new.open("rb") as new_file, (old or new).open("rb") as old_file:
        pages = -(-new.stat().st_size // size)
        longest = max(path.stat().st_size for path in (live, new, old or new))
        for number in range(-(-longest // size)):
            if number * size == _PENDING_BYTE:
                continue  # the lock page, which holds nothing and is never copied
            now, later, earlier = (_page(file, number, size) for file in (live_file, new_file, old_file))
            is_old, is_new = is_old and now == earlier, is_new and now == later
            if not now:
                continue  # that a file is shorter says nothing
            if old is None:
                like_new += now == later
            elif earlier != later:
                like_old, like_new = like_old + (now == earlier), like_new + (now == later)
    return Likeness(is_old, is_new, like_old, like_new, pages)


def _page(file: BinaryIO, number: int, size: int) -> bytes:
    """Empty past the end of the file."""
    file.seek(number * size)
    page = file.read(size)
    if number == 0:
        for start, end in _COUNTERS:
            page = page[:start] + bytes(end - start) + page[end:]
    return page
