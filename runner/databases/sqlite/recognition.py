"""Which files are databases of SQLite: what they begin with says it, not what they are called."""

from pathlib import Path
from typing import Final

_BEGINNING: Final = b"SQLite format 3\0"
"""https://www.sqlite.org/fileformat2.html, section 1.3."""


def is_sqlite(path: Path) -> bool:
    """Whether a file is a database of SQLite. One that cannot be read is none."""
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False
