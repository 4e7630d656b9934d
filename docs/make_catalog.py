"""Bring the catalogs of translations up to date with the texts in the code, and compile them.

    python docs/make_catalog.py

What is new stands in the catalog without a translation; what is gone is removed. `tests/docs/test_catalog.py` fails
while there is either.
"""

import ast
import gettext
import importlib
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path

import click
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from runner.cli.main import COMMANDS, cli

PACKAGE = Path(__file__).resolve().parent.parent / "runner"
CATALOG = PACKAGE / "locale" / "fr" / "LC_MESSAGES" / "runner.po"

_DROPPED = tuple(
    f'"{name}: '
    for name in (
        *("Project-Id-Version", "Report-Msgid-Bugs-To", "POT-Creation-Date", "PO-Revision-Date"),
        *("Last-Translator", "Language-Team", "Generated-By"),
    )
)

Text = str | tuple[str, str]
"""A text, or one for a single thing and one for several."""


def texts() -> list[Text]:
    """Every text that a person may read, each once, in the order of the files."""
    found = [*_of_code(), *_of_schemas(), *_of_commands(), *_of_click()]
    singles = {text if isinstance(text, str) else text[0]: text for text in found if text}
    plurals = {text[0]: text for text in found if isinstance(text, tuple)}
    return list({**singles, **plurals}.values())


def _of_code() -> Iterator[Text]:
    """The literals in `msg(…)` and `counted(…)`."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            values = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
            if node.func.id == "msg" and values and isinstance(values[0], str):
                yield values[0]
            if node.func.id == "counted" and len(values) == 2:
                yield str(values[0]), str(values[1])


def _of_schemas() -> Iterator[Text]:
    """What a schema says of a text that does not match its pattern."""
    for file in sorted((PACKAGE.parent / "schema").glob("*.schema.json")):
        yield from re.findall(r'"patternErrorMessage": "([^"]*)"', file.read_text("utf-8"))


def _of_commands() -> Iterator[Text]:
    """The help of every command and option."""
    yield from COMMANDS.values()
    yield from _of_command(cli)
    for name in COMMANDS:
        module = importlib.import_module(f"runner.cli.{name.replace('-', '_')}_command")
        yield from _of_command(module.command)


def _of_command(command: click.Command) -> Iterator[Text]:
    yield inspect.cleandoc(command.help or "")
    yield command.epilog or ""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield parameter.help or ""
    if isinstance(command, click.Group) and command is not cli:
        for below in command.commands.values():
            yield from _of_command(below)


def _of_click() -> Iterator[Text]:
    """What click itself says."""
    folder = Path(click.__file__).parent
    keywords = {"_": None, "ngettext": (1, 2)}
    for _, _, text, _, _ in extract_from_dir(folder, keywords=keywords):
        yield text if isinstance(text, str) else (text[0], text[1])


def read() -> Catalog:
    """The French catalog as it stands."""
    with CATALOG.open("rb") as file:
        return read_po(file, locale="fr", domain="runner")


def updated(catalog: Catalog) -> Catalog:
    """The same with the texts of today."""
    new = Catalog(locale="fr", domain="runner", project="runner", charset="utf-8", fuzzy=False)
    new.mime_headers = [("Plural-Forms", "nplurals=2; plural=(n > 1);")]
    for text in texts():
        known = catalog.get(text[0] if isinstance(text, tuple) else text)
        translation = "" if known is None else known.string
        if isinstance(text, tuple) and not isinstance(translation, tuple):
            translation = ("", "")
        if isinstance(text, str) and not isinstance(translation, str):
            translation = ""
        new.add(text, translation)
    return new


def compiled(catalog: Catalog) -> None:
    """Write the `.mo` beside the `.po`."""
    with CATALOG.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)


def write(catalog: Catalog) -> None:
    """Write the `.po`, with what gettext needs of its headers and nothing that changes with the day."""
    catalog.header_comment = "# The texts of runner in French; see CONTRIBUTING.md."
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=120, no_location=True)
    lines = buffer.getvalue().decode("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(_DROPPED)]
    CATALOG.write_text("".join(kept), "utf-8", newline="\n")


def main() -> None:
    catalog = updated(read() if CATALOG.exists() else Catalog(locale="fr"))
    write(catalog)
    compiled(catalog)
    untranslated = [message.id for message in catalog if message.id and not _is_translated(message.string)]
    print(f"{len(catalog)} texts, {len(untranslated)} without a translation")  # noqa: T201 - a script for people


def _is_translated(string: object) -> bool:
    return all(string) if isinstance(string, tuple) else bool(string)


if __name__ == "__main__":
    gettext.textdomain("none")
    main()
