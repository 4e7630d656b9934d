"""What a plain scalar means: the core schema of YAML 1.2 (chapter 10.3 of its specification), and nothing else.

`no`, `on`, `22:30`, `1_000` and dates are text here, as they look. PyYAML's own resolver follows YAML 1.1, where they
are `False`, `True`, 1350, 1000 and a `date`.
"""

import re
from collections.abc import Callable
from typing import Final

Scalar = str | int | float | bool | None

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})

# Python refuses to convert very long decimals, and no setting has such a number: longer ones stay text.
_NUMBERS: Final[tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...]] = (
    (re.compile(r"[-+]?[0-9]{1,40}"), int),
    (re.compile(r"0o[0-7]{1,40}"), lambda text: int(text, 0)),
    (re.compile(r"0x[0-9a-fA-F]{1,40}"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,10})?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    for pattern, convert in _NUMBERS:
        if pattern.fullmatch(text):
            return convert(text)
    return text
