"""Which paths `media.exclude` leaves out. The rules are those of `.gitignore`, less the exclamation mark.

- A pattern without `/` matches a name at any depth: `*.tmp`.
- A pattern with `/` starts at the media root: `cache/**`, `exports/2024`.
- `*` and `?` stop at `/`, `**` does not; `[a-z]` is a set of characters, `[!a-z]` all others, and neither holds `/`.
- A pattern that matches a folder leaves out everything below it.
- On Windows and macOS, as in their file systems, case does not matter.
"""

import re
import sys
from collections.abc import Iterable

IGNORE_CASE = sys.platform in ("win32", "darwin")


class Selection:
    """The compiled patterns of one profile."""

    def __init__(self, patterns: Iterable[str], *, ignore_case: bool = IGNORE_CASE) -> None:
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        self._patterns = [(pattern, re.compile(_translate(pattern), flags)) for pattern in patterns]

    def excluding(self, path: str) -> str | None:
        """The pattern that leaves out `path` (relative, with `/`) or a folder above it; None when it is kept."""
        if not self._patterns:
            return None
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            prefix = "/".join(parts[:end])
            for text, pattern in self._patterns:
                if pattern.fullmatch(prefix):
                    return text
        return None

    def excludes_entry(self, path: str) -> bool:
        """Whether `path` itself is left out, for a walk that has already judged the folders above it."""
        return any(pattern.fullmatch(path) for _, pattern in self._patterns)


def _translate(pattern: str) -> str:
    """A regular expression for a whole relative path."""
    body = pattern.strip("/")
    anchored = "/" in pattern.rstrip("/")
    return ("" if anchored else "(?:.*/)?") + "".join(_pieces(body))


def _pieces(body: str) -> Iterable[str]:
    position = 0
    while position < len(body):
        if body.startswith("**/", position):
            yield "(?:.*/)?"
            position += 3
        elif body.startswith("**", position):
            yield ".*"
            position += 2
        elif body[position] == "[" and (end := _end_of_set(body, position)):
            yield _set(body[position + 1 : end])
            position = end + 1
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(body[position], re.escape(body[position]))
            position += 1


def _end_of_set(body: str, start: int) -> int:
    """Where the `]` is that ends the set; 0 when none does. One that comes first is a character of the set."""
    first = start + (2 if body[start + 1 : start + 2] in ("!", "^") else 1)
    return max(0, body.find("]", first + 1))


def _set(content: str) -> str:
    negated = content[0] in "!^"
    characters = content[negated:].replace("\\", "\\\\").replace("]", "\\]")
    return f"(?!/)[{'^' if negated else ''}{characters}]"
