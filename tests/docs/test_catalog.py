"""The French catalog is complete, holds nothing that no code says, and fits the texts it translates."""

import gettext
import string
from collections import Counter
from typing import Any

import pytest
from babel.messages.catalog import Message

from docs import make_catalog
from runner.language import DOMAIN, FOLDER
from runner.messages import counted, msg

CATALOG = [message for message in make_catalog.read() if message.id]


def texts_of(value: Any) -> tuple[str, ...]:
    """One text, or one for a single thing and one for several."""
    return (value,) if isinstance(value, str) else tuple(value)


def forms(message: Message) -> list[tuple[str, str]]:
    """Each English text with its translation."""
    return list(zip(texts_of(message.id), texts_of(message.string), strict=True))


def fields_of(text: str) -> Counter[tuple[str, str]]:
    return Counter((name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None)


def test_it_holds_every_text_of_the_code_and_no_other() -> None:
    said = {text if isinstance(text, str) else text[0] for text in make_catalog.texts()}
    known = {texts_of(message.id)[0] for message in CATALOG}
    assert said - known == set(), "run `make catalog`"
    assert known - said == set(), "run `make catalog`"
    assert len(known) > 1000


def test_everything_is_translated() -> None:
    assert [english for message in CATALOG for english, french in forms(message) if not french] == []
    assert [message.id for message in CATALOG if message.fuzzy] == []


def test_fields_and_layout_are_kept() -> None:
    wrong: list[str] = []
    for message in CATALOG:
        for english, french in forms(message):
            if "{" in english and "%(" not in english and fields_of(english) != fields_of(french):
                wrong.append(english)
            same_start = len(english) - len(english.lstrip(" ")) == len(french) - len(french.lstrip(" "))
            if english.count("\b") != french.count("\b") or not same_start:
                wrong.append(english)
    assert wrong == []


def test_a_console_of_windows_can_show_it() -> None:
    unshown = [french for message in CATALOG for _, french in forms(message) if not encodes(french)]
    assert unshown == []


def encodes(text: str) -> bool:
    return text.replace("\b", "").encode("cp1252", "replace").decode("cp1252") == text.replace("\b", "")


def test_the_compiled_catalog_is_that_of_the_sources() -> None:
    compiled = gettext.translation(DOMAIN, FOLDER, ["fr"])
    for message in CATALOG:
        english, french = texts_of(message.id), texts_of(message.string)
        if len(english) == 2:
            assert compiled.ngettext(english[0], english[1], 2) == french[1], "install it again: `make catalog`"
        else:
            assert compiled.gettext(english[0]) == french[0], "install it again: `make catalog`"


@pytest.mark.parametrize(("count", "text"), [(0, "0 things"), (1, "1 thing"), (2345, "2,345 things")])
def test_a_number_of_things(count: int, text: str) -> None:
    assert str(counted("{count} thing", "{count} things", count)) == text
    assert str(msg("found {things}", things=counted("{count} thing", "{count} things", count))) == f"found {text}"
