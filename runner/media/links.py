"""Where the links of a restored tree would lead once it stands at its root."""

import os
from collections.abc import Mapping
from pathlib import Path

_MOST_LINKS = 255
Parts = tuple[str, ...]


def leads_out(link: str, links: Mapping[str, str], root: Path) -> bool:
    """Whether `link` (relative, with `/`) ends outside `root`, a real path.

    `links` are all links of the tree with their targets; below the root there are no others. Outside, what is on this
    machine counts. A circle leads nowhere, so not out.
    """
    inside = {_parts(path): target for path, target in links.items()}
    top = _parts(str(root))
    followed = 0
    at: Parts = (*top, *_parts(link)[:-1])
    rest = list(reversed(_pieces(links[link])))
    if _is_absolute(links[link]):
        at = ()
    while rest:
        piece = rest.pop()
        if piece == "..":
            at = at[:-1]
            continue
        at = (*at, piece)
        target = _target(at, top, inside)
        if target is None:
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return False
        at = () if _is_absolute(target) else at[:-1]
        rest.extend(reversed(_pieces(target)))
    return at[: len(top)] != top


def _target(at: Parts, top: Parts, inside: Mapping[Parts, str]) -> str | None:
    """What the thing at `at` points at; None when it is no link."""
    if at[: len(top)] == top:
        return inside.get(at[len(top) :])
    try:
        return os.readlink(_path(at))  # noqa: PTH115 - as it stands; Path would tidy it
    except OSError:
        return None


def _is_absolute(target: str) -> bool:
    slashes = ("/", "\\") if os.name == "nt" else "/"
    return bool(os.path.splitdrive(target)[0]) or target.startswith(slashes)


def _pieces(target: str) -> list[str]:
    plain = os.path.normcase(target).replace("\\", "/") if os.name == "nt" else target
    return [piece for piece in plain.split("/") if piece not in ("", ".")]


def _parts(path: str) -> Parts:
    return tuple(_pieces(path))


def _path(parts: Parts) -> str:
    """An absolute path; on Windows the first part is the drive."""
    return "\\".join(parts) if os.name == "nt" else "/".join(("", *parts))
