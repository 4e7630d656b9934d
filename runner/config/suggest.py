"""What a person probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

MAX_LENGTH: Final = 40
"""Longer texts get no suggestion: looking for one takes time that grows with the text, and typos are made in words."""


def closest(text: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `text`; None where none is like it."""
    near = get_close_matches(text, known, n=1) if len(text) <= MAX_LENGTH else ()
    return near[0] if near else None
