"""User-facing texts as whole templates with named fields, in English and in the language of whoever reads.

Every sentence that a person may read is one template, written where it is raised and rendered at the last moment.
A translation replaces the template and keeps the fields; nothing is ever glued together from half sentences.

`str(message)` is English: manifests, JSON and logs have no other language. `message.localized()` is what people get.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from gettext import NullTranslations


class _Reader:
    """The language of whoever reads the output of this process; English until somebody says otherwise."""

    language = "en"
    catalog = NullTranslations()


@dataclass(frozen=True, slots=True)
class Message:
    """A template in `str.format` syntax and the values of its named fields, which may be messages themselves.

    With `plural`, the template is for one thing and `plural` for any other number of them; the number is `count`.
    """

    template: str
    fields: Mapping[str, object] = field(default_factory=dict)
    plural: str | None = None
    count: int = 1

    def __str__(self) -> str:
        template = self.template if self.plural is None or self.count == 1 else self.plural
        return template.format_map(self._filled("en", str))

    def localized(self) -> str:
        """The text in the language of whoever reads."""
        catalog = _Reader.catalog
        if self.plural is None:
            template = catalog.gettext(self.template)
        else:
            template = catalog.ngettext(self.template, self.plural, self.count)
        return template.format_map(self._filled(_Reader.language, localized))

    def _filled(self, language: str, render: Callable[["Message"], str]) -> dict[str, object]:
        values = {name: render(each) if isinstance(each, Message) else each for name, each in self.fields.items()}
        if self.plural is not None:
            values["count"] = grouped(self.count, language)
        return values


def localized(message: object) -> str:
    """A message in the language of whoever reads; anything else as it is."""
    return message.localized() if isinstance(message, Message) else str(message)


def msg(template: str, /, **fields: object) -> Message:
    """Build a `Message`. The template is the literal that translators see."""
    return Message(template, fields)


def counted(one: str, many: str, count: int, /, **fields: object) -> Message:
    """A `Message` for a number of things: `counted("{count} file", "{count} files", number)`."""
    return Message(one, fields, many, count)


def translated(text: str) -> str:
    """A text without fields, such as a help text, in the language of whoever reads."""
    return _Reader.catalog.gettext(text) if text else text


def use_language(language: str, catalog: NullTranslations) -> None:
    """From now on people are told in `language` (`en`, `fr`), by the translations of `catalog`."""
    _Reader.language = language
    _Reader.catalog = catalog


def language_in_use() -> str:
    """`en` or `fr`."""
    return _Reader.language


def grouped(number: int, language: str) -> str:
    """`2,345`; in French with a space that breaks no line and that a cp1252 console has."""
    text = f"{number:,}"
    return text.replace(",", "\u00a0") if language == "fr" else text


def printable(text: str) -> str:
    """`text` as UTF-8 can hold it: bytes of a file's name that are no text become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
