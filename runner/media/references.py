"""What a path in a database column means below the media root.

Applications store such paths in many forms: with backslashes, a leading `./`, URL-encoded, with MEDIA_URL in front.
Each form is tried, the literal one first; the first that exists is taken.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote

from runner.media.select import IGNORE_CASE, Selection

ALIASES = os.name == "nt"
"""Windows may know a file by a short name, too."""

_FOLDERS = 4096
_ABSOLUTE = re.compile(r"/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")


class Verdict(StrEnum):
    """What became of one value."""

    FOUND = "found"
    MISSING = "missing"
    OUTSIDE = "outside"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The verdict, and for a found one the path below the root after all links (relative, with `/`)."""

    verdict: Verdict
    path: str = ""
    pattern: str | None = None


class ReferenceResolver:
    """Looks values up below `root`, which must be a real path. Touches the file system with lstat and readlink only.

    Where files lie, that is asked once for each folder: the columns of a school name thousands of files in a few.
    """

    def __init__(self, root: Path, url: str | None, selection: Selection, *, aliases: bool = ALIASES) -> None:
        """`aliases`: a plain file may have other names, so that each is asked for its real one."""
        self._root = root
        self._url = url
        self._selection = selection
        self._aliases = aliases
        self._folder = lru_cache(_FOLDERS)(self._real)

    def resolve(self, value: str) -> Resolution:
        """Look one value up."""
        outside = True
        for candidate in _candidates(value, self._url):
            relative = normpath(candidate)
            # The last form, which has been decoded the most, tells whether a value that is not there leads out.
            outside = _ABSOLUTE.match(candidate) is not None or relative == ".." or relative.startswith("../")
            if not outside and (found := self._look_up(relative)) is not None:
                return found
        return Resolution(Verdict.OUTSIDE if outside else Verdict.MISSING)

    def _look_up(self, relative: str) -> Resolution | None:
        """None: there is no such file."""
        if (pattern := self._selection.excluding(relative)) is not None:
            return Resolution(Verdict.EXCLUDED, relative, pattern)
        try:
            mode = os.lstat(f"{self._root}/{relative}").st_mode
        except (OSError, ValueError):  # ValueError: no system has such a name
            return None
        path = self._real(relative) if self._aliases or not stat.S_ISREG(mode) else self._beside(relative)
        if path is None:
            return Resolution(Verdict.OUTSIDE)
        if (pattern := self._selection.excluding(path)) is not None:
            return Resolution(Verdict.EXCLUDED, path, pattern)
        is_file = stat.S_ISREG(mode) or (self._root / path).is_file()
        return Resolution(Verdict.FOUND, path) if is_file else None

    def _beside(self, relative: str) -> str | None:
        """`_real` of a plain file: it lies where its folder does."""
        folder, slash, name = relative.rpartition("/")
        real = self._folder(folder)
        if real is None:
            return None
        return f"{real}/{name}" if slash and real != "." else name

    def _real(self, relative: str) -> str | None:
        """The path below the root after all links, `.` for the root itself; None: it leads out."""
        real = Path(os.path.realpath(self._root / relative))
        return real.relative_to(self._root).as_posix() if real.is_relative_to(self._root) else None


def reference_key(path: str, *, ignore_case: bool = IGNORE_CASE) -> str:
    """What two spellings of one file have in common: Unicode normal form, and case where the system ignores it."""
    normal = unicodedata.normalize("NFC", path)
    return normal.casefold() if ignore_case else normal


def _candidates(value: str, url: str | None) -> Iterator[str]:
    """The forms a value may have, each once."""
    seen: set[str] = set()
    for form in (value, value.replace("\\", "/"), unquote(value, errors="surrogateescape").replace("\\", "/")):
        for stripped in (form, _without_url(form, url)):
            if stripped and stripped not in seen:
                seen.add(stripped)
                yield stripped


def _without_url(value: str, url: str | None) -> str | None:
    """The value less MEDIA_URL, with or without the slash that the URL starts with."""
    if not url:
        return None
    whole = url.rstrip("/") + "/"
    for prefix in (whole, whole.lstrip("/")):
        if prefix and value.startswith(prefix):
            return value[len(prefix) :].lstrip("/")
    return None
