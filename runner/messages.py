"""User-facing texts as whole templates with named fields.

Every sentence that a person may read is one template, written where it is raised and rendered at the last moment.
A translation replaces the template and keeps the fields; nothing is ever glued together from half sentences.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """A template in `str.format` syntax and the values of its named fields."""

    template: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.template.format_map(self.fields)


def printable(text: str) -> str:
    """`text` as UTF-8 can hold it: bytes of a file's name that are no text become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def msg(template: str, /, **fields: object) -> Message:
    """Build a `Message`. The template is the literal that translators see."""
    return Message(template, fields)
