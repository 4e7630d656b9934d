"""From a file to its text: size, encoding and characters are checked before anything is parsed.

Raises only `Unreadable`, whose problem says in one sentence what is wrong with the file.
"""

import codecs
import re
import stat
from pathlib import Path
from typing import Final

from runner.config.place import Position, Unreadable
from runner.messages import Message, msg

MAX_BYTES: Final = 256 * 1024

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")

FORBIDDEN: Final = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What no text may hold: control characters, halves of surrogate pairs, byte order marks, and the line breaks of old
standards (NEL, LS, PS), which YAML 1.1 counts as lines and no editor does."""


def read_text(path: Path, file: str) -> str:
    """The text of `path`; `file` is the name that problems use."""
    start = Position(file, 1, 1)
    content = _read_bytes(path, start)
    if content.startswith(_UTF16_MARKS):
        raise _refused(
            start, msg("the file is in UTF-16 or UTF-32"), msg("save it as UTF-8, without a byte order mark")
        )
    if content.startswith(codecs.BOM_UTF8):
        raise _refused(
            start,
            msg("the file starts with a byte order mark"),
            msg("save it as UTF-8, without a byte order mark (BOM)"),
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(
            position_in(content[: error.start].decode("utf-8"), file),
            msg("this character is not in UTF-8"),
            msg("save the file as UTF-8; it may have been saved as Windows-1252 (`ANSI`)"),
        ) from None
    if odd := FORBIDDEN.search(text):
        raise _refused(
            position_in(text[: odd.start()], file),
            msg("character U+{code:04X} is not allowed in a configuration file", code=ord(odd[0])),
            msg("delete it, and save the file as plain UTF-8 text"),
        )
    return text


def position_in(before: str, file: str) -> Position:
    """The position right after the text `before`."""
    lines = _LINE_BREAK.split(before)
    return Position(file, len(lines), len(lines[-1]) + 1)


def _read_bytes(path: Path, start: Position) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _refused(start, msg("this is a folder, not a file"), msg("name a `.yml` file in it"))
        if not stat.S_ISREG(status.st_mode):  # opening a pipe or a device may wait for ever
            raise _refused(start, msg("this is not a regular file"), msg("name a `.yml` file"))
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _refused(start, msg("there is no such file"), msg("check the path")) from None
    except PermissionError:
        raise _refused(
            start, msg("the file may not be read"), msg("give the user who runs this the right to read it")
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise _refused(start, msg("the file cannot be read: {reason}", reason=reason), msg("check the path")) from None
    if len(content) > MAX_BYTES:
        raise _refused(
            start,
            msg("the file is larger than {limit} KiB", limit=MAX_BYTES // 1024),
            msg("this is no profile: one has a few dozen lines"),
        )
    return content


def _refused(position: Position, message: Message, hint: Message) -> Unreadable:
    return Unreadable(position.problem(message, hint=hint))
