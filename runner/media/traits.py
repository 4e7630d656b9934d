"""What names a file system can hold: asked of the file system itself, not of the operating system."""

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.errors import Finding
from runner.media.trees import remove_tree
from runner.messages import Message, msg, printable

_RESERVED_STEMS = frozenset(
    (
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(f"{name}{number}" for name in ("com", "lpt") for number in range(10)),
    )
)
_RESERVED_CHARACTERS = frozenset('<>:"|?*\\')
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class FileSystemTraits:
    """`reserved_names`: names, characters and endings that Windows keeps for itself. `only_text`: names must be UTF-8.

    `max_name_bytes` is of one part of a path (with `counts_utf16` in UTF-16 units), `max_path` of the whole path.
    """

    ignores_case: bool = False
    ignores_normalisation: bool = False
    reserved_names: bool = False
    max_name_bytes: int = 255
    only_text: bool = False
    counts_utf16: bool = False
    max_path: int = 4095


def probe_traits(folder: Path) -> FileSystemTraits:
    """Try names in `folder`, a new empty one that is gone afterwards. Raises OSError when it cannot be made."""
    folder.mkdir(0o700)
    try:
        windows = sys.platform == "win32"
        return FileSystemTraits(
            ignores_case=_are_one(folder, "runner-a", "RUNNER-A"),
            ignores_normalisation=_are_one(folder, "runner-\u00e9", "runner-e\u0301"),
            reserved_names=windows or not _can_hold(folder, b'a:b?c"'),
            max_name_bytes=_longest_name(folder),
            only_text=windows or not _can_hold(folder, b"runner-\xff"),
            counts_utf16=windows,
            max_path=_longest_path(),
        )
    finally:
        remove_tree(folder)


def usual_traits() -> FileSystemTraits:
    """What file systems of this operating system usually are, where nothing can be tried."""
    windows = sys.platform == "win32"
    mac = sys.platform == "darwin"
    return FileSystemTraits(windows or mac, mac, windows, 255, windows or mac, windows, _longest_path())


def unholdable(paths: Iterable[bytes], root: Path, traits: FileSystemTraits) -> list[Finding]:
    """One error for each path (below `root`, with `/`) that the file system cannot hold beside the others."""
    errors: list[Finding] = []
    more = 0
    for path, reason in _problems(paths, len(os.fsencode(root)) + 1, traits):
        if len(errors) < _SHOWN:
            errors.append(_refusal(path, reason))
        else:
            more += 1
    if more:
        hint = msg("see the others' hints")
        errors.append(Finding("refused", msg("and {count} more names like these", count=more), str(root), hint))
    return errors


def _problems(paths: Iterable[bytes], above: int, traits: FileSystemTraits) -> Iterator[tuple[bytes, Message]]:
    collide = traits.ignores_case or traits.ignores_normalisation
    seen: dict[bytes, bytes] = {}
    for path in paths:
        parts = path.split(b"/")
        reasons = (_reason(part, traits) for part in parts)
        reason = next((found for found in reasons if found is not None), None)
        if reason is None and above + _length(path, traits) > traits.max_path:
            reason = msg("the whole path is too long for this system")
        if reason is None and collide:
            reason = _collision(parts, seen, traits)
        if reason is not None:
            yield path, reason


def _collision(parts: list[bytes], seen: dict[bytes, bytes], traits: FileSystemTraits) -> Message | None:
    """Whether this path or a folder on its way is one with an earlier one."""
    for end in range(1, len(parts) + 1):
        path = b"/".join(parts[:end])
        earlier = seen.setdefault(_key(path, traits), path)
        if earlier != path:
            return msg("it and `{other}` are one name on this file system", other=_text(earlier))
    return None


def _key(path: bytes, traits: FileSystemTraits) -> bytes:
    text = path.decode("utf-8", "surrogateescape")
    if traits.ignores_normalisation:
        text = unicodedata.normalize("NFC", text)
    if traits.ignores_case:
        # Letter by letter, as file systems do it: `ß` and `ss` are two names everywhere.
        text = "".join(upper if len(upper := character.upper()) == 1 else character for character in text).lower()
    return text.encode("utf-8", "surrogatepass")


def _reason(part: bytes, traits: FileSystemTraits) -> Message | None:
    """What keeps one part of a path from being a name there."""
    if _length(part, traits) > traits.max_name_bytes:
        return msg("a name in it is longer than {most} bytes", most=traits.max_name_bytes)
    if traits.only_text and not _is_text(part):
        return msg("a name in it is not text in UTF-8")
    return _reason_on_windows(part.decode("utf-8", "surrogateescape")) if traits.reserved_names and part else None


def _reason_on_windows(text: str) -> Message | None:
    if any(character in _RESERVED_CHARACTERS or character < " " for character in text):
        return msg("a name in it has a character that Windows keeps for itself")
    if text[-1] in ". ":
        return msg("a name in it ends with a dot or a space, which Windows drops")
    if text.partition(".")[0].rstrip(" ").lower() in _RESERVED_STEMS:
        return msg("a name in it is that of a device on Windows")
    return None


def _length(part: bytes, traits: FileSystemTraits) -> int:
    if not traits.counts_utf16:
        return len(part)
    return len(part.decode("utf-8", "replace").encode("utf-16-le")) // 2


def _is_text(part: bytes) -> bool:
    try:
        part.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refusal(path: bytes, reason: Message) -> Finding:
    return Finding(
        "refused",
        msg("`{path}` cannot be restored here: {reason}", path=_text(path), reason=reason),
        _text(path),
        msg("restore to a file system that can hold it, or leave the media out with `--variant db-only`"),
    )


def _text(path: bytes) -> str:
    return printable(path.decode("utf-8", "surrogateescape"))


def _are_one(folder: Path, first: str, second: str) -> bool:
    (folder / first).touch()
    return os.path.lexists(folder / second)


def _can_hold(folder: Path, name: bytes) -> bool:
    """Whether a file of this name can be made and is listed under it."""
    try:
        path = folder / os.fsdecode(name)
        path.touch(exist_ok=False)
        return path in folder.iterdir()
    except (OSError, UnicodeError):
        return False


def _longest_name(folder: Path) -> int:
    if sys.platform == "win32":
        return 255
    return os.pathconf(folder, "PC_NAME_MAX")


def _longest_path() -> int:
    """Of a path with its root. Windows: 259 characters, unless long paths are switched on, which nobody can rely on."""
    return 259 if sys.platform == "win32" else 1023 if sys.platform == "darwin" else 4095
