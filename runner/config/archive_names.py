"""What an archive may be called: a legal file name on every system, that carries its timestamp once."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from runner.config.suggest import closest
from runner.messages import Message, msg

FIELDS: Final = ("timestamp", "profile", "instance")

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_ILLEGAL: Final = re.compile(r'[<>:"|?*]')
_DEVICES: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL"} | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789"}
)


class Fault(NamedTuple):
    """What is wrong with a name, and what to do about it."""

    message: Message
    hint: Message


def faults(name: str) -> Iterator[Fault]:
    """Everything that is wrong with an archive's name, as it stands in a profile."""
    if not name.strip():
        yield Fault(msg("is empty"), msg("write `{{profile}}_{{timestamp}}.zip`, or remove the key"))
        return
    if not name.isprintable():
        yield Fault(msg("holds an invisible character"), msg("type it anew"))
    yield from _fields(name)
    literal = _FIELD.sub("", name)
    if "/" in literal or "\\" in literal:
        yield Fault(msg("must be a name, not a path"), msg("write the folder as a destination: `destinations[].path`"))
    if illegal := _ILLEGAL.findall(literal):
        yield Fault(
            msg("Windows allows no {illegal} in a file's name", illegal=", ".join(sorted(set(illegal)))),
            msg("use letters, digits, `_`, `-` and `.`"),
        )
    if not name.endswith(".zip"):
        yield Fault(msg("must end in `.zip`"), msg("an archive is a plain zip, and is found again by its ending"))
    device = name.partition(".")[0].strip().upper()
    if device in _DEVICES:
        yield Fault(
            msg("Windows reserves the name {device}, with any ending", device=device),
            msg("put something before the first `.`"),
        )


def _fields(name: str) -> Iterator[Fault]:
    fields = _FIELD.findall(name)
    unknown = [field for field in fields if field not in FIELDS]
    for field in unknown:
        near = closest(field.lower(), FIELDS)
        hint = msg("the fields are `{{timestamp}}`, `{{profile}}` and `{{instance}}`")
        if near is not None:
            hint = msg("did you mean `{{{near}}}`?", near=near)
        yield Fault(msg("holds a field that is not known"), hint)
    if "{" in (rest := _FIELD.sub("", name)) or "}" in rest:
        yield Fault(msg("holds a brace without its partner"), msg("write fields as `{{timestamp}}`"))
    elif not unknown and "timestamp" not in fields:
        yield Fault(
            msg("must hold `{{timestamp}}`, or each archive would have the name of the one before"),
            msg("for example `{{profile}}_{{timestamp}}.zip`"),
        )
    if fields.count("timestamp") > 1:
        yield Fault(msg("holds `{{timestamp}}` more than once"), msg("keep one of them"))
