"""What a path in a database column means below the media root.

Applications store such paths in many forms: with backslashes, a leading `./`, URL-encoded, with MEDIA_URL in front.
Each form is tried, the literal one first; the first that exists is taken.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote

from runner.media.select import IGNORE_CASE, Selection

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


def resolve_reference(value: str, root: Path, url: str | None, selection: Selection) -> Resolution:
    """Look one value up. `root` must be a real path. Touches the file system with lstat and readlink only."""
    outside = True
    for candidate in _candidates(value, url):
        relative = normpath(candidate)
        # The last form, which has been decoded the most, tells whether a value that is not there leads out.
        outside = _ABSOLUTE.match(candidate) is not None or relative == ".." or relative.startswith("../")
        if outside:
            continue
        if (pattern := selection.excluding(relative)) is not None:
            return Resolution(Verdict.EXCLUDED, relative, pattern)
        if "\0" in relative or not os.path.lexists(root / relative):
            continue
        real = Path(os.path.realpath(root / relative))
        if not real.is_relative_to(root):
            return Resolution(Verdict.OUTSIDE)
        path = real.relative_to(root).as_posix()
        if (pattern := selection.excluding(path)) is not None:
            return Resolution(Verdict.EXCLUDED, path, pattern)
        if real.is_file():
            return Resolution(Verdict.FOUND, path)
    return Resolution(Verdict.OUTSIDE if outside else Verdict.MISSING)


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
