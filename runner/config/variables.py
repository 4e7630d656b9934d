"""Variables in texts: `${NAME}`, `${NAME:-default}`, `$$` for a dollar sign, and `~` at the start of a path.

Pure: the environment is an argument. A variable that is set to nothing counts as unset, for `${BACKUPS}/x` must not
become `/x`. What stands in a variable is not looked into again, but for a `~` at its start.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runner.messages import Message, msg

_REFERENCE: Final = re.compile(
    r"""\$\$                                                                    # a dollar sign
    |   \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default>(?:(?!\$\{)[^}])*) )? \}
    |   (?P<broken>\$\{)                                                        # not closed, or no name in it
    |   \$ (?P<bare>[A-Za-z_][A-Za-z0-9_]*)                                      # the way of a shell
    |   % (?P<percent>[A-Za-z_][A-Za-z0-9_]*) %                                 # the way of cmd.exe
    """,
    re.VERBOSE,
)
_HOME: Final = re.compile(r"~(?=$|[/\\])")


@dataclass(frozen=True, slots=True)
class Expanded:
    """`text` with its variables filled in; where `unset` names any, `text` is as it was written."""

    text: str
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Misspelt:
    """A variable that is not written as one should be."""

    message: Message
    hint: Message


def escaped(text: str) -> str:
    """A text that `expand` gives back as `text`, whatever it holds but a `~` at its start."""
    return text.replace("$", "$$")


def misspelt(text: str) -> Misspelt | None:
    """The first mistake in the way variables are written in `text`."""
    for found in _REFERENCE.finditer(text):
        if found["broken"]:
            return Misspelt(
                msg("a variable is not written as `${{NAME}}` or `${{NAME:-default}}`"),
                msg("close it with `}}`, and use letters, digits and `_` in its name; write `$$` for a dollar sign"),
            )
        if name := found["bare"]:
            return Misspelt(
                msg("`${name}` is not filled in", name=name),
                msg("write `${{{name}}}`, or `$$` for a dollar sign", name=name),
            )
        if name := found["percent"]:
            return Misspelt(msg("`%{name}%` is not filled in", name=name), msg("write `${{{name}}}`", name=name))
    return None


def expand(text: str, environ: Mapping[str, str], *, windows: bool = os.name == "nt") -> Expanded:
    """Fill in the variables of `text`. What is misspelt (see there) stays as it is."""
    unset: list[str] = []

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if (name := found["name"]) is None:
            return found[0]
        value = environ.get(name) or found["default"]
        if value is None:
            unset.append(name)
        return value or ""

    filled = _REFERENCE.sub(fill, text)
    if _HOME.match(filled):
        home = "USERPROFILE" if windows else "HOME"
        filled = environ.get(home, "") + filled[1:]
        if not environ.get(home):
            unset.append(home)
    return Expanded(text, tuple(dict.fromkeys(unset))) if unset else Expanded(filled)
