"""Member names: any path of any file system as a name that every zip tool accepts, and back.

The encoding is injective: two different paths never share a name. A byte that is not part of valid UTF-8, a backslash,
a control character, and a `%` that could be taken for an escape become `%XX`; everything else stays as it is.
"""

import os
import re
import unicodedata

_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_HEX = frozenset("0123456789abcdefABCDEF")
_LINE_SEPARATORS = ("\u2028", "\u2029")


def encode_path(raw: bytes) -> str:
    """The member name (less `media/`) of the path whose bytes are `raw`, with `/` between its parts."""
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(_encode_character(text, index) for index in range(len(text))) if _needs_encoding(text) else text


def decode_path(name: str) -> bytes:
    """The raw bytes of the path that `encode_path` made `name` of."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), name.encode("utf-8"))


def path_bytes(path: str) -> bytes:
    """The bytes of a path as this system's functions give it; on Windows, of its UTF-8 form."""
    return os.fsencode(path)


def is_safe_member(name: str) -> bool:
    """Whether `name` stays below the folder it is extracted into, on every system, and is in encoded form."""
    if not name or name.startswith("/") or "\\" in name:
        return False
    # Printable text has no character of the unsafe categories, and no line separator.
    if not name.isprintable() and any(_is_unsafe(character) for character in name):
        return False
    parts = name.removesuffix("/").split("/")
    return not any(part in ("", ".", "..") for part in parts)


def _needs_encoding(text: str) -> bool:
    if text.isprintable() and "\\" not in text and "%" not in text:
        return False
    return any(_encode_character(text, index) != character for index, character in enumerate(text))


def _encode_character(text: str, index: int) -> str:
    character = text[index]
    if "\udc80" <= character <= "\udcff":  # one byte that is not UTF-8
        return f"%{ord(character) - 0xDC00:02X}"
    if _is_unsafe(character) or character == "\\" or (character == "%" and _looks_like_escape(text, index)):
        return "".join(f"%{byte:02X}" for byte in character.encode("utf-8"))
    return character


def _looks_like_escape(text: str, index: int) -> bool:
    following = text[index + 1 : index + 3]
    return len(following) == 2 and all(character in _HEX for character in following)


def _is_unsafe(character: str) -> bool:
    return character in _LINE_SEPARATORS or unicodedata.category(character) in ("Cc", "Cs")
